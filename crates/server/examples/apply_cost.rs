//! What applying messages costs one replica: processor time of the applying thread and of the whole process,
//! a message, over the state on disk. `cargo run --release -p threefold-server --example apply_cost -- [ENTRIES] [MESSAGES]`.
//! Memory is allocated as in the program.

use std::{error::Error, time::Instant};

use mimalloc::MiMalloc;
use threefold_core::{
    Command, Operation, Recipient, Reply, RequestId, TokenHash, bounds::COMMANDS_PER_ENTRY, entry, store::Overlay,
};
use threefold_server::storage::{StateStore, fjall_state::FjallState};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const SENDERS: u64 = 512;
const ENTRIES: u64 = 2_000;
const MESSAGES: u64 = 128;
const BODY_BYTES: usize = 200;

fn ticks(path: &str) -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string(path)?;
    let (_, fields) = stat.rsplit_once(')').ok_or("malformed stat")?;
    let fields = fields.split_whitespace().collect::<Vec<_>>();
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / 100.0)
}

fn main() -> Result<(), Box<dyn Error>> {
    let argument = |n| std::env::args().nth(n).map(|text: String| text.parse::<u64>());
    let (entries, messages) =
        (argument(1).transpose()?.unwrap_or(ENTRIES), argument(2).transpose()?.unwrap_or(MESSAGES));
    let directory = tempfile::tempdir()?;
    let state = FjallState::open(&directory.path().join("state"))?;
    let mut index = 0;
    let mut apply = |commands: Vec<Command>| -> Result<Vec<Reply>, Box<dyn Error>> {
        index += 1;
        let encoded = commands.iter().map(entry::encode_command).collect::<Vec<_>>();
        let packed = entry::pack(1_000_000 + index, encoded.iter());
        let unpacked = entry::unpack(&packed)?;
        let mut overlay = Overlay::new(&state);
        let applied = threefold_core::apply(&mut overlay, index, &unpacked)?;
        state.commit(overlay.into_changes())?;
        Ok(applied.replies)
    };
    let token = |n: u64| {
        let mut token = [7; 32];
        token[..8].copy_from_slice(&n.to_le_bytes());
        TokenHash(token)
    };
    for n in 0..SENDERS {
        let name = format!("user{n}");
        apply(vec![Command::Register {
            name,
            password_hash: "x".repeat(90),
            token_hash: token(n),
            device: "d".into(),
        }])?;
    }
    assert!(messages as usize <= COMMANDS_PER_ENTRY && SENDERS.is_multiple_of(messages));
    let mut numbers = vec![0; SENDERS as usize];
    let (process, thread) = (ticks("/proc/self/stat")?, ticks("/proc/thread-self/stat")?);
    let began = Instant::now();
    let mut next = 0;
    for _ in 0..entries {
        let commands = (0..messages).map(|_| {
            let sender = next % SENDERS;
            next += 1;
            numbers[sender as usize] += 1;
            let to = Recipient::User(format!("user{}", (sender + 16) % SENDERS));
            let operation =
                Operation::SendMessage { to, body: "x".repeat(BODY_BYTES), reply_to: None, attachments: None };
            let request = RequestId { instance: 1, number: numbers[sender as usize] };
            // Each sender has one on its way: everything before it was answered.
            let answered = Some(request.number - 1);
            Command::Write { session: token(sender), request, operation, answered }
        });
        let replies = apply(commands.collect())?;
        assert!(replies.iter().all(|reply| matches!(reply, Reply::MessageSent { .. })));
    }
    let total = (entries * messages) as f64;
    let cost = |before: f64, after: f64| (after - before) * 1e6 / total;
    println!(
        "{total} messages, {:.0}/s; microseconds a message: applying thread {:.1}, process {:.1}",
        total / began.elapsed().as_secs_f64(),
        cost(thread, ticks("/proc/thread-self/stat")?),
        cost(process, ticks("/proc/self/stat")?),
    );
    Ok(())
}
