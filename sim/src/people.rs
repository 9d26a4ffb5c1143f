//! People who use the cluster, by the real client library: they send, read, and have a device that is told.

use std::{sync::Arc, time::Duration};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use threefold_client::{Client, Cursor, Error, Incoming, Options, Page, Subscription, Token, chat::event::Body};
use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    fact::{Fact, Message, Sending, Sent},
    server::CLIENT_PORT,
    wires::{Lines, Wires},
    world::{Phase, World},
};

const PASSWORD: &str = "correct horse battery";
/// Between two looks at how far the run is.
const LOOK: Duration = Duration::from_millis(50);
/// After a failure that the library does not retry any more.
const BREATH: Duration = Duration::from_millis(100);
/// Messages of one person without an answer: then the person waits.
const UNANSWERED: usize = 20;

/// Someone, and what they need.
#[derive(Clone)]
pub struct Person {
    /// The name.
    pub name: String,
    /// The others' names.
    pub others: Vec<String>,
    /// How many people there are.
    pub people: usize,
    /// The servers' names.
    pub servers: Vec<String>,
    /// The machine this person sits at.
    pub machine: String,
    /// The network.
    pub wires: Arc<Wires>,
    /// The run.
    pub world: Arc<World>,
    /// For everything that is left to chance.
    pub seed: u64,
    /// Between two messages, at most.
    pub pause: Duration,
}

impl Person {
    fn dice(&self, what_for: u64) -> StdRng {
        StdRng::seed_from_u64(self.seed.wrapping_mul(31).wrapping_add(what_for))
    }

    /// Lives until the run is over.
    pub async fn live(self) {
        let Some(client) = self.arrive().await else { return };
        let talking = self.clone().talk(client.clone());
        let reading = self.clone().read(client.clone());
        let following = self.clone().follow(client.clone());
        tokio::spawn(following);
        futures::future::join(talking, reading).await;
        while self.world.phase() < Phase::Reading {
            sleep(LOOK).await;
        }
        for with in &self.others {
            let messages = self.read_all(&client, with).await;
            self.world.tell(Fact::FinalRead { person: self.name.clone(), with: with.clone(), messages });
        }
        self.world.done(&self.name);
    }

    /// Registers, and waits for the others.
    async fn arrive(&self) -> Option<Client> {
        let mut dice = self.dice(1);
        let mut options = Options::new(self.servers.iter().map(|name| format!("{name}:{CLIENT_PORT}")).collect());
        options.connector = Some(Arc::new(Lines { wires: self.wires.clone(), machine: self.machine.clone() }));
        options.seed = Some(dice.random());
        options.timeout = Duration::from_secs(8);
        options.attempt_timeout = Duration::from_secs(2);
        let client = Client::new(options).ok()?;
        let token: [u8; 32] = dice.random();
        let token = Token::from_hex(&token.iter().map(|byte| format!("{byte:02x}")).collect::<String>())?;
        let session = loop {
            match client.register_with(token.clone(), &self.name, PASSWORD, "desk").await {
                Ok(session) => break session,
                Err(error @ Error::Refused { .. }) => {
                    self.world.remark(format!("{} cannot register: {error}", self.name));
                    return None;
                }
                Err(_) => sleep(BREATH).await,
            }
        };
        self.world.tell(Fact::Registered { person: self.name.clone() });
        while self.world.arrived() < self.people {
            sleep(LOOK).await;
        }
        client.with_session(session).ok()
    }

    async fn talk(self, client: Client) {
        let mut dice = self.dice(2);
        let (mut outbox, mut number) = (1, 0);
        let Ok(mut writer) = client.writer() else { return };
        let unanswered = Arc::new(tokio::sync::Semaphore::new(UNANSWERED));
        while self.world.phase() <= Phase::Talking {
            sleep(self.pause.mul_f64(dice.random())).await;
            if self.world.phase() > Phase::Talking {
                return;
            }
            if dice.random_bool(0.01)
                && let Ok(another) = client.writer()
            {
                (writer, outbox, number) = (another, outbox + 1, 0);
            }
            let (Some(to), Ok(place)) = (self.others.choose(&mut dice), unanswered.clone().acquire_owned().await)
            else {
                return;
            };
            number += 1;
            let sending = Sending { from: self.name.clone(), to: to.clone(), outbox, number };
            self.world.tell(Fact::SendBegan(sending.clone()));
            let world = self.world.clone();
            match writer.send(to.as_str(), sending.text()).await {
                Ok(receipt) => drop(tokio::spawn(async move {
                    let outcome = outcome(receipt.await.map(|sent| sent.id));
                    world.tell(Fact::SendEnded(sending, outcome));
                    drop(place);
                })),
                Err(error) => world.tell(Fact::SendEnded(sending, outcome(Err(error)))),
            }
        }
    }

    async fn read(self, client: Client) {
        let mut dice = self.dice(3);
        while self.world.phase() <= Phase::Talking {
            sleep((self.pause * 3).mul_f64(dice.random())).await;
            let Some(with) = self.others.choose(&mut dice) else { return };
            let consistent = dice.random_bool(0.6);
            let read = self.world.next_read();
            let (person, name) = (self.name.clone(), with.clone());
            self.world.tell(Fact::ReadBegan { read, person, with: name, consistent });
            let page = Page::Before(0);
            let reply = if consistent {
                client.consistent_history(with.as_str(), page, 30).await
            } else {
                client.history(with.as_str(), page, 30).await
            };
            self.world.tell(match reply {
                Ok(reply) => {
                    let messages = reply.messages.into_iter().map(|message| seen(message.id, message.body));
                    Fact::ReadEnded { read, messages: Some(messages.collect()), more: reply.more }
                }
                Err(_) => Fact::ReadEnded { read, messages: None, more: false },
            });
        }
    }

    async fn read_all(&self, client: &Client, with: &str) -> Vec<Message> {
        let mut messages: Vec<Message> = Vec::new();
        loop {
            let after = messages.last().map_or(0, |message| message.id);
            match client.consistent_history(with, Page::After(after), 200).await {
                Ok(reply) => {
                    messages.extend(reply.messages.into_iter().map(|message| seen(message.id, message.body)));
                    if !reply.more {
                        return messages;
                    }
                }
                Err(_) => sleep(BREATH).await,
            }
        }
    }

    /// A device that comes and goes, and goes on each time where it was.
    async fn follow(self, client: Client) {
        let mut dice = self.dice(4);
        let mut cursor = Cursor::default();
        loop {
            let Ok(subscription) = client.subscribe(cursor.clone(), false) else { return };
            let until = Instant::now() + Duration::from_millis(dice.random_range(200..20_000));
            if !self.listen(subscription, &mut cursor, until).await {
                return;
            }
            sleep(Duration::from_millis(dice.random_range(0..1500))).await;
        }
    }

    async fn listen(&self, mut subscription: Subscription, cursor: &mut Cursor, until: Instant) -> bool {
        let person = || self.name.clone();
        loop {
            // A device stays once nobody talks any more, so that it has been told everything at the end.
            let incoming = if self.world.phase() <= Phase::Talking {
                match timeout_at(until, subscription.next()).await {
                    Ok(incoming) => incoming,
                    Err(_) => return true,
                }
            } else {
                subscription.next().await
            };
            match incoming {
                Some(Incoming::Connected { recovery_id, .. }) => cursor.recovery_id = recovery_id,
                Some(Incoming::Reconnecting { .. } | Incoming::Condition(_) | Incoming::Typing(_)) => {}
                Some(Incoming::CaughtUp { position }) => cursor.after = cursor.after.max(position),
                Some(Incoming::Event(event)) => {
                    cursor.after = event.id;
                    if let Some(Body::Message(message)) = event.body {
                        self.world.tell(Fact::Followed { person: person(), message: seen(message.id, message.body) });
                    }
                }
                Some(Incoming::Resynchronise) => {
                    self.world.tell(Fact::FollowingEnded { person: person(), why: "resynchronise".to_owned() });
                    return false;
                }
                Some(Incoming::Ended(error)) => {
                    self.world.tell(Fact::FollowingEnded { person: person(), why: error.to_string() });
                    return false;
                }
                None => return true,
            }
        }
    }
}

fn seen(id: u64, text: String) -> Message {
    Message { id, text }
}

fn outcome(result: Result<u64, Error>) -> Sent {
    match result {
        Ok(id) => Sent::Acknowledged(id),
        Err(error @ Error::Unavailable { .. }) => Sent::Never(error.to_string()),
        Err(error @ Error::OutcomeUnknown(_)) => Sent::Unknown(error.to_string()),
        Err(error @ (Error::Refused { .. } | Error::Usage(_) | Error::Local(_) | Error::Protocol(_))) => {
            Sent::Refused(error.to_string())
        }
    }
}
