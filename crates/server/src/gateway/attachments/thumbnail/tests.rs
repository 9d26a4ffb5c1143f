//! Whose turn it is and what is remembered, before the real state machine, with programs that do as a test needs.

use std::{fs, path::Path, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode, header},
};
use bytes::Bytes;
use threefold_core::{AttachmentId, content::ContentHash};
use threefold_proto::chat;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tower::Service as _;

use super::{
    super::{
        Begun, DOWNLOADS_OF_ONE, http,
        tests::{register, soon},
    },
    *,
};
use crate::gateway::{Caller, Gateway, testing::Solo};

/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);
/// What a PNG begins with.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Somebody with files.
struct Person {
    name: &'static str,
    caller: Caller,
    instance: u64,
    written: u64,
}

/// A file in a message to oneself.
#[derive(Clone)]
struct File {
    conversation: u64,
    message: u64,
    attached: Attached,
}

impl Person {
    async fn new(gateway: &Gateway<Solo>, name: &'static str) -> Self {
        let (caller, instance) = register(gateway, name).await;
        Self { name, caller, instance, written: 0 }
    }

    fn next(&mut self) -> Option<chat::RequestId> {
        self.written += 1;
        Some(chat::RequestId { instance: self.instance, number: self.written })
    }

    /// Attaches that to a message.
    async fn attach(&mut self, gateway: &Gateway<Solo>, content: &[u8]) -> File {
        let (nonce, bytes) = (self.written, content.len() as u64);
        let begin = chat::BeginUpload { nonce, name: "a.png".into(), content_type: String::new(), bytes };
        let Begun::Open(mut upload) = gateway.begin_upload(&self.caller, begin, soon()).await.unwrap() else {
            panic!("finished before it began")
        };
        upload.put(Bytes::copy_from_slice(content)).await.unwrap();
        let attached = upload.finish(None).await.unwrap();
        let to = chat::Recipient { to: Some(chat::recipient::To::User(self.name.into())) };
        let attachments = vec![attached.attachment.0];
        let send = Some(chat::SendMessage { to: Some(to), attachments, ..chat::SendMessage::default() });
        let request = chat::SendMessageRequest { request: self.next(), send };
        let sent = gateway.send_message(&self.caller, request, soon()).await.unwrap().sent.unwrap();
        File { conversation: sent.conversation, message: sent.id, attached }
    }

    async fn delete(&mut self, gateway: &Gateway<Solo>, file: &File) {
        let delete =
            chat::DeleteMessages { conversation: file.conversation, messages: vec![file.message], for_everyone: true };
        let request = chat::DeleteMessagesRequest { request: self.next(), delete: Some(delete) };
        gateway.delete_messages(&self.caller, request, soon()).await.unwrap();
    }

    fn download(&self, gateway: &Gateway<Solo>, file: &File) -> Result<Download<Solo>, Refusal> {
        let request = chat::DownloadAttachmentRequest {
            conversation: file.conversation,
            message: file.message,
            attachment: file.attached.attachment.0,
            offset: 0,
            length: 0,
        };
        gateway.open_download(&self.caller, &request)
    }

    /// Asks for a thumbnail, as pages do: the status and the body of the answer.
    fn ask(&self, gateway: &Gateway<Solo>, file: &File) -> JoinHandle<(StatusCode, String)> {
        let mut router: Router = http::routes(gateway.clone());
        let token = ContentHash::of(self.name.as_bytes());
        let AttachmentId(attachment) = file.attached.attachment;
        let path = format!("/attachments/{}/{}/{attachment}?thumbnail", file.conversation, file.message);
        let request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {token}"));
        let request = request.body(Body::empty()).unwrap();
        tokio::spawn(async move {
            let answer = router.call(request).await.unwrap();
            let status = answer.status();
            let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
            (status, String::from_utf8_lossy(&body).into_owned())
        })
    }
}

async fn answer(asked: JoinHandle<(StatusCode, String)>) -> (StatusCode, String) {
    timeout(LONG, asked).await.unwrap().unwrap()
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let give_up = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < give_up, "never: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// A gateway whose thumbnails are made by a program that does this; `$here` is a directory of its own.
fn gateway(directory: &tempfile::TempDir, lines: &str) -> Gateway<Solo> {
    let program = program::tests::script(directory, lines);
    Solo::new().gateway().with_attachments(crate::config::AttachmentLimits::default(), Some(program))
}

/// Says whose file it has, waits for leave, and makes something.
const SLOW: &str = "tail -c 4 >> $here/order; until [ -e $here/go ]; do sleep 0.02; done; printf '\\003some'";

/// Whose files there were so far.
fn order(directory: &Path) -> Vec<String> {
    let order = fs::read_to_string(directory.join("order")).unwrap_or_default();
    order.as_bytes().chunks(4).map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}

fn picture(name: &str) -> Vec<u8> {
    [PNG, name.as_bytes()].concat()
}

#[tokio::test]
async fn who_asks_for_many_keeps_nobody_waiting_and_no_place_of_those_who_download() {
    let directory = tempfile::tempdir().unwrap();
    let gateway = gateway(&directory, SLOW);
    let (mut ann, mut bob) = (Person::new(&gateway, "ann").await, Person::new(&gateway, "bob").await);
    let mut files = Vec::new();
    for number in 0..9 {
        files.push(ann.attach(&gateway, &picture(&format!("ann{number}"))).await);
    }
    let of_bob = bob.attach(&gateway, &picture("bob0")).await;
    let mut asked = vec![ann.ask(&gateway, &files[0])];
    until("the first one", || order(directory.path()) == ["ann0"]).await;
    asked.extend(files[1..].iter().map(|file| ann.ask(&gateway, file)));
    let waiting = &gateway.shared.attachments.thumbnails.waiting;
    until("all the others of one", || waiting.taken() == 8).await;
    asked.push(bob.ask(&gateway, &of_bob));
    until("the one of another", || waiting.taken() == 9).await;
    let downloads = (0..DOWNLOADS_OF_ONE).map(|_| ann.download(&gateway, &files[0])).collect::<Result<Vec<_>, _>>();
    assert_eq!(downloads.map(|downloads| downloads.len()).ok(), Some(DOWNLOADS_OF_ONE));
    fs::write(directory.path().join("go"), "").unwrap();
    for asked in asked {
        assert_eq!(answer(asked).await, (StatusCode::OK, "some".to_owned()));
    }
    let order = order(directory.path());
    assert_eq!((order.len(), order[1].as_str()), (10, "bob0"), "{order:?}");
    assert_eq!(waiting.taken(), 0);
}

#[tokio::test]
async fn who_may_have_it_is_asked_again_after_the_wait() {
    let directory = tempfile::tempdir().unwrap();
    let gateway = gateway(&directory, SLOW);
    let mut ann = Person::new(&gateway, "ann").await;
    let (first, second) = (ann.attach(&gateway, &picture("ann0")).await, ann.attach(&gateway, &picture("ann1")).await);
    let making = ann.ask(&gateway, &first);
    until("it to be made", || order(directory.path()) == ["ann0"]).await;
    let waiting = ann.ask(&gateway, &second);
    until("the other one to wait", || gateway.shared.attachments.thumbnails.waiting.taken() == 1).await;
    ann.delete(&gateway, &first).await;
    ann.delete(&gateway, &second).await;
    fs::write(directory.path().join("go"), "").unwrap();
    assert_eq!(answer(making).await.0, StatusCode::NOT_FOUND);
    assert_eq!(answer(waiting).await.0, StatusCode::NOT_FOUND);
    assert_eq!(order(directory.path()), ["ann0"], "nothing is made of what is gone");
}

#[tokio::test]
async fn a_failure_is_remembered_for_a_while_and_what_the_program_said_for_good() {
    let directory = tempfile::tempdir().unwrap();
    let lines = "tail -c 4 >> $here/order; [ -e $here/well ] || kill -KILL $$; printf '\\002'";
    let gateway = gateway(&directory, lines);
    let mut ann = Person::new(&gateway, "ann").await;
    let file = ann.attach(&gateway, &picture("ann0")).await;
    for _ in 0..3 {
        let (status, words) = answer(ann.ask(&gateway, &file)).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{words}");
        assert_eq!(order(directory.path()).len(), 1, "not over and over");
    }
    fs::write(directory.path().join("well"), "").unwrap();
    tokio::time::pause();
    tokio::time::advance(FAILED_FOR).await;
    tokio::time::resume();
    for _ in 0..2 {
        assert_eq!(answer(ann.ask(&gateway, &file)).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert_eq!(order(directory.path()).len(), 2);
    }
}

#[tokio::test]
async fn who_finds_no_place_is_told_to_try_later() {
    let gateway = Solo::new().gateway();
    let mut ann = Person::new(&gateway, "ann").await;
    let file = ann.attach(&gateway, &picture("ann0")).await;
    let waiting = &gateway.shared.attachments.thumbnails.waiting;
    let places = (0..WAITING_OF_ONE).map(|_| waiting.take(ann.caller.session.account)).collect::<Vec<_>>();
    let (status, words) = answer(ann.ask(&gateway, &file)).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "a page asks again, and not for the whole file instead");
    assert!(words.contains("UNAVAILABLE"), "{words}");
    drop(places);
    assert_eq!(answer(ann.ask(&gateway, &file)).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn a_large_file_that_is_no_picture_is_told_as_that() {
    let gateway = Solo::new().gateway();
    let mut ann = Person::new(&gateway, "ann").await;
    for (content, expected) in [(picture("ann0"), Unscalable::TooLarge), (b"words".to_vec(), Unscalable::NoPicture)] {
        let file = ann.attach(&gateway, &content).await;
        let attached = Attached { bytes: FILE_BYTES + 1, ..file.attached.clone() };
        let file = ann.download(&gateway, &file).unwrap();
        assert_eq!(promise(&attached, &file).unwrap(), Err(expected));
        let empty = Attached { bytes: 0, ..attached };
        assert_eq!(promise(&empty, &file).unwrap(), Err(Unscalable::NoPicture));
    }
    let words = Unscalable::TooLarge.to_string();
    assert!(words.contains("32 MiB or 33177600 points"), "{words}");
}
