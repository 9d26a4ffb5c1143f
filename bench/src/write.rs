//! `write`: a closed loop of senders.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use futures::future::try_join_all;
use hdrhistogram::Histogram;
use serde_json::json;
use threefold_proto::chat::{self, chat_client::ChatClient, client_frame, server_frame, write, write_result};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use crate::cluster::{Session, connect, processor_seconds, resident_kib, status};

/// Instances of one session that write at once; a session keeps 16.
const SENDERS_PER_SESSION: usize = 16;
/// HTTP/2 connections to each server.
const CONNECTIONS_PER_SERVER: usize = 4;

/// What to do.
pub struct Plan {
    /// Senders, each with one message in flight.
    pub senders: usize,
    /// Bytes of a message.
    pub bytes: usize,
    /// How long is measured.
    pub measured: Duration,
    /// How long before that is not.
    pub warm_up: Duration,
}

/// Runs the plan and gives the figures.
pub async fn run(servers: &[String], plan: Plan) -> anyhow::Result<serde_json::Value> {
    let mut channels = Vec::new();
    for _ in 0..CONNECTIONS_PER_SERVER {
        for server in servers {
            channels.push(connect(server).await?);
        }
    }
    let senders = prepare(&channels, plan.senders).await?;
    let pids =
        status(servers).await?.servers.into_iter().map(|server| server.pid).filter(|pid| *pid != 0).collect::<Vec<_>>();
    let (measuring, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let body = "x".repeat(plan.bytes);
    let tasks =
        senders.into_iter().map(|sender| tokio::spawn(sender.send(body.clone(), measuring.clone(), stop.clone())));
    let tasks = tasks.collect::<Vec<_>>();
    tokio::time::sleep(plan.warm_up).await;
    let before = pids.iter().map(|pid| processor_seconds(*pid)).sum::<anyhow::Result<f64>>()?;
    let began = Instant::now();
    measuring.store(true, Ordering::Relaxed);
    tokio::time::sleep(plan.measured).await;
    measuring.store(false, Ordering::Relaxed);
    let seconds = began.elapsed().as_secs_f64();
    let after = pids.iter().map(|pid| processor_seconds(*pid)).sum::<anyhow::Result<f64>>()?;
    stop.store(true, Ordering::Relaxed);
    let mut latencies = Histogram::<u64>::new(3)?;
    for task in tasks {
        latencies.add(task.await??)?;
    }
    let messages = latencies.len();
    let ms = |quantile: f64| latencies.value_at_quantile(quantile) as f64 / 1000.0;
    Ok(json!({
        "scenario": "write",
        "senders": plan.senders,
        "bytes": plan.bytes,
        "messages": messages,
        "messages_per_second": (messages as f64 / seconds).round(),
        "p50_ms": ms(0.50),
        "p99_ms": ms(0.99),
        "max_ms": latencies.max() as f64 / 1000.0,
        "server_cpu_us_per_message": ((after - before) * 1e6 / messages.max(1) as f64 * 10.0).round() / 10.0,
        "server_rss_kib": pids.iter().map(|pid| resident_kib(*pid)).collect::<Vec<_>>(),
    }))
}

/// Registers as many accounts as the senders need, and opens an instance for each sender.
async fn prepare(channels: &[Channel], count: usize) -> anyhow::Result<Vec<Sender>> {
    let sessions = count.div_ceil(SENDERS_PER_SESSION);
    let registering = (0..sessions).map(|n| Session::register(channels[n % channels.len()].clone()));
    let mut sessions = Vec::new();
    for registering in registering {
        sessions.push(registering.await?.0);
    }
    let opening = (0..count).map(|n| {
        let channel = channels[n % channels.len()].clone();
        let session = sessions[n / SENDERS_PER_SESSION].clone();
        let to = sessions[(n / SENDERS_PER_SESSION + 1) % sessions.len()].name.clone();
        async move {
            let instance = session.open_instance(channel.clone()).await?;
            anyhow::Ok(Sender { channel, session, instance, to })
        }
    });
    try_join_all(opening).await
}

struct Sender {
    channel: Channel,
    session: Session,
    instance: u64,
    to: String,
}

impl Sender {
    /// Sends one message after another until told to stop; gives the latencies measured, in microseconds.
    async fn send(
        self,
        body: String,
        measuring: Arc<AtomicBool>,
        stop: Arc<AtomicBool>,
    ) -> anyhow::Result<Histogram<u64>> {
        let (frames, outgoing) = mpsc::channel(1);
        let request = self.session.request(ReceiverStream::new(outgoing))?;
        let mut incoming = ChatClient::new(self.channel.clone()).converse(request).await?.into_inner();
        let mut latencies = Histogram::new(3)?;
        for number in 1.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let began = Instant::now();
            let counted = measuring.load(Ordering::Relaxed);
            frames.send(self.frame(number, &body)).await?;
            loop {
                let frame = incoming.message().await?.context("the stream ended")?;
                let Some(server_frame::Frame::Result(result)) = frame.frame else { continue };
                match result.result {
                    Some(write_result::Result::Sent(_)) => break,
                    other => bail!("a message was not accepted: {other:?}"),
                }
            }
            if counted && measuring.load(Ordering::Relaxed) {
                latencies.record(began.elapsed().as_micros() as u64)?;
            }
        }
        Ok(latencies)
    }

    fn frame(&self, number: u64, body: &str) -> chat::ClientFrame {
        let send = chat::SendMessage {
            to: Some(chat::Recipient { to: Some(chat::recipient::To::User(self.to.clone())) }),
            body: body.to_owned(),
        };
        let write = chat::Write {
            request: Some(chat::RequestId { instance: self.instance, number }),
            operation: Some(write::Operation::Send(send)),
        };
        chat::ClientFrame { frame: Some(client_frame::Frame::Write(write)) }
    }
}
