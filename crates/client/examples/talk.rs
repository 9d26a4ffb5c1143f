//! Talks with somebody: sends the lines of standard input, and prints what arrives, through any failover.
//!
//! `THREEFOLD_PASSWORD=... cargo run --example talk -- alice bob`, beside `threefold up` with the accounts alice and bob.

use std::{env, error::Error, process::ExitCode};

use futures::{StreamExt as _, stream::FuturesOrdered};
use threefold_client::{Client, Incoming, Options, chat::event::Body, parse_servers};
use tokio::io::{AsyncBufReadExt as _, BufReader, stdin};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (Ok(password), [name, peer]) = (env::var("THREEFOLD_PASSWORD"), arguments.as_slice()) else {
        eprintln!("usage: THREEFOLD_PASSWORD=... talk NAME WITH");
        return ExitCode::from(2);
    };
    match talk(name, &password, peer).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("talk: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn talk(name: &str, password: &str, peer: &str) -> Result<(), Box<dyn Error>> {
    let servers = env::var("THREEFOLD_SERVERS").unwrap_or_else(|_| "127.0.0.1:7400,7401,7402".to_owned());
    let client = Client::new(Options::new(parse_servers(&servers)?))?;
    let session = client.log_in(name, password, "talk").await?;
    let client = client.with_session(session.clone())?;
    let writer = client.writer()?;
    // Receipts, in the order of what was sent.
    let mut sent = FuturesOrdered::new();
    let mut events = client.subscribe(session.start(), false)?.fuse();
    let mut lines = BufReader::new(stdin()).lines();
    loop {
        tokio::select! {
            biased;
            incoming = events.next() => match incoming {
                Some(Incoming::Event(event)) => {
                    if let Some(Body::Message(message)) = event.body {
                        println!("{}: {}", message.author_name, message.body);
                    }
                }
                Some(Incoming::Reconnecting { why }) => eprintln!("talk: {why}; going on at another server"),
                Some(Incoming::Ended(error)) => return Err(error.into()),
                Some(_) => {}
                None => return Ok(()),
            },
            Some(answer) = sent.next() => say(answer),
            line = lines.next_line() => match line? {
                // Its receipt is the acknowledgement, which the next line need not wait for: the outbox keeps the order.
                Some(line) if !line.is_empty() => match writer.send(peer, line).await {
                    Ok(receipt) => sent.push_back(receipt),
                    Err(error) => eprintln!("talk: not sent: {error}"),
                },
                Some(_) => {}
                None => break,
            },
        }
    }
    // Nothing is left behind, and no refusal unheard.
    while let Some(answer) = sent.next().await {
        say(answer);
    }
    Ok(client.log_out().await?)
}

/// Says what came to nothing.
fn say<T>(answer: Result<T, threefold_client::Error>) {
    if let Err(error) = answer {
        eprintln!("talk: not sent: {error}");
    }
}
