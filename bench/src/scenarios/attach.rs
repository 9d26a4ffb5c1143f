//! `attach`: what messages feel while files go up.
//!
//! The same load of messages twice, on a fixed schedule, latency counted from when each was due: alone, and while some people
//! send one file after the other. Each file is taken back when it is there, so that no quota ends the run.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use clap::Args;
use serde_json::json;
use threefold_client::{Client, File, Options};
use tokio::task::JoinHandle;

use super::write;
use crate::{
    bounds::{rate, some_seconds},
    cluster::Target,
    report::{Report, latency_table, usage_json},
    table::{figure, thousands},
};

/// What to do.
#[derive(Args, Clone, Debug)]
pub struct Plan {
    /// People who write messages, spread over the servers
    #[arg(long, default_value_t = 64, value_name = "N")]
    senders: usize,
    /// Messages a second in all, on a fixed schedule
    #[arg(long, default_value_t = 1000.0, value_name = "R", value_parser = rate)]
    rate: f64,
    /// People who send files, each one file after the other
    #[arg(long, default_value_t = 1, value_name = "N")]
    uploads: usize,
    /// The size of a file in MiB
    #[arg(long, default_value_t = 25, value_name = "MIB")]
    mib: u64,
    /// Seconds measured, each time
    #[arg(long, default_value_t = 10.0, value_parser = some_seconds)]
    seconds: f64,
}

/// Runs the plan against a cluster.
///
/// # Errors
/// When a server is lost or refuses a message or a file.
pub async fn run(target: &Target, plan: &Plan) -> anyhow::Result<Report> {
    let messages = write::Plan {
        senders: plan.senders,
        in_flight: 1,
        rate: Some(plan.rate),
        bytes: 200,
        seconds: plan.seconds,
        warm_up: 2.0,
    };
    let alone = write::measure(target, &messages).await?;
    let uploaders = Uploaders::start(target, plan).await?;
    let began = Instant::now();
    let beside = write::measure(target, &messages).await?;
    let (files, took) = (uploaders.stop(), began.elapsed().as_secs_f64());
    let mib_per_second = files.bytes as f64 / (1 << 20) as f64 / took;
    let text = format!(
        "attach: {} senders, {} messages/s due; {} people sending files of {} MiB\n\n{} MiB/s of files, {} finished\n\n{}",
        plan.senders,
        thousands(plan.rate),
        plan.uploads,
        plan.mib,
        figure(mib_per_second),
        files.finished,
        latency_table(&[("messages alone", alone.latency), ("while files go up", beside.latency)]).render(),
    );
    let json = json!({
        "scenario": "attach",
        "senders": plan.senders,
        "rate": plan.rate,
        "uploads": plan.uploads,
        "mib": plan.mib,
        "files_finished": files.finished,
        "mib_per_second": mib_per_second,
        "alone": { "latency": alone.latency, "usage": usage_json(&alone.usage, alone.messages) },
        "beside": { "latency": beside.latency, "usage": usage_json(&beside.usage, beside.messages) },
    });
    Ok(Report { text, json })
}

/// What has gone up.
struct Files {
    bytes: u64,
    finished: u64,
}

/// People who send files, until they are stopped.
struct Uploaders {
    tasks: Vec<JoinHandle<()>>,
    bytes: Arc<AtomicU64>,
    finished: Arc<AtomicU64>,
}

impl Uploaders {
    async fn start(target: &Target, plan: &Plan) -> anyhow::Result<Self> {
        let mut uploaders = Self { tasks: Vec::new(), bytes: Arc::default(), finished: Arc::default() };
        let anonymous = Client::new(Options::new(target.addresses()))?;
        for number in 0..plan.uploads {
            let name = format!("f{:x}-{number}", rand::random::<u32>());
            let session = anonymous.register(&name, "correct horse", "bench").await?;
            let client = anonymous.with_session(session)?;
            let (bytes, finished) = (Arc::clone(&uploaders.bytes), Arc::clone(&uploaders.finished));
            let size = plan.mib << 20;
            uploaders.tasks.push(tokio::spawn(async move {
                if let Err(error) = send_files(&client, size, &bytes, &finished).await {
                    eprintln!("threefold-bench: an upload failed: {error}");
                }
            }));
        }
        Ok(uploaders)
    }

    fn stop(self) -> Files {
        self.tasks.iter().for_each(JoinHandle::abort);
        Files { bytes: self.bytes.load(Ordering::Relaxed), finished: self.finished.load(Ordering::Relaxed) }
    }
}

async fn send_files(
    client: &Client,
    size: u64,
    bytes: &AtomicU64,
    finished: &AtomicU64,
) -> Result<(), threefold_client::Error> {
    loop {
        let content = Counted { left: size, bytes };
        let file = File { name: "bench".to_owned(), content_type: String::new(), bytes: size };
        let attachment = client.upload(file, content).await?;
        finished.fetch_add(1, Ordering::Relaxed);
        client.discard(&attachment).await?;
    }
}

/// A file of some bytes that counts what is read of it.
struct Counted<'a> {
    left: u64,
    bytes: &'a AtomicU64,
}

impl tokio::io::AsyncRead for Counted<'_> {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        let count = buffer.remaining().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        // Nothing that could be compressed to nothing; and cheap to make.
        let begin = self.left;
        buffer.initialize_unfilled_to(count).iter_mut().zip(begin..).for_each(|(byte, place)| {
            *byte = (place.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8;
        });
        buffer.advance(count);
        self.left -= count as u64;
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
        std::task::Poll::Ready(Ok(()))
    }
}
