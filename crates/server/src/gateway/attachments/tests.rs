//! Uploads and downloads at the gateway, before the real state machine.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use threefold_core::{AttachmentId, Rejection, bounds::CHUNK_BYTES, content::ContentHash};
use threefold_proto::{
    chat::{self, upload_frame::Frame, upload_reply::Reply},
    convert::{Refusal, Token},
};
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::ReceiverStream;

use super::{Begun, UPLOADS, UPLOADS_OF_ONE, Upload, piped, stream};
use crate::{
    config::AttachmentLimits,
    gateway::{Caller, Gateway, door::Door as _, testing::Solo},
};

const CHUNK: usize = CHUNK_BYTES as usize;

pub(super) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

pub(super) async fn register(gateway: &Gateway<Solo>, name: &str) -> (Caller, u64) {
    let token = ContentHash::of(name.as_bytes()).0;
    let request = chat::RegisterRequest {
        name: name.into(),
        password: "correct horse".into(),
        token: token.to_vec().into(),
        device: "test".into(),
    };
    let reply = gateway.register(request, std::net::Ipv4Addr::LOCALHOST.into(), soon()).await.unwrap();
    (gateway.authenticate(Token::new(token).hash(), soon()).await.unwrap(), reply.instance)
}

fn begin(nonce: u64, bytes: usize) -> chat::BeginUpload {
    chat::BeginUpload { nonce, name: "a.bin".into(), content_type: String::new(), bytes: bytes as u64 }
}

async fn open(gateway: &Gateway<Solo>, caller: &Caller, nonce: u64, bytes: usize) -> Upload<Solo> {
    match gateway.begin_upload(caller, begin(nonce, bytes), soon()).await.unwrap() {
        Begun::Open(upload) => *upload,
        Begun::Finished(_) => panic!("finished before it began"),
    }
}

fn refused<T>(outcome: Result<T, Refusal>) -> Refusal {
    outcome.err().unwrap()
}

fn content(bytes: usize) -> Bytes {
    (0..bytes).map(|place| (place / 253) as u8 ^ place as u8).collect()
}

/// A message with that file, from `caller` to itself.
async fn sent(
    gateway: &Gateway<Solo>,
    (caller, instance): &(Caller, u64),
    attachment: AttachmentId,
) -> chat::MessageSent {
    let to = chat::Recipient { to: Some(chat::recipient::To::User("ann".into())) };
    let send = chat::SendMessage { to: Some(to), attachments: vec![attachment.0], ..chat::SendMessage::default() };
    let request = Some(chat::RequestId { instance: *instance, number: 1 });
    let request = chat::SendMessageRequest { request, send: Some(send) };
    gateway.send_message(caller, request, soon()).await.unwrap().sent.unwrap()
}

async fn read(gateway: &Gateway<Solo>, caller: &Caller, request: &chat::DownloadAttachmentRequest) -> Vec<u8> {
    let mut pieces = piped(gateway.open_download(caller, request).unwrap());
    let mut read = Vec::new();
    while let Some(piece) = pieces.next().await {
        read.extend(piece.unwrap());
    }
    read
}

#[tokio::test]
async fn an_upload_goes_on_at_another_time_and_comes_back_in_parts() {
    let gateway = Solo::new().gateway();
    let ann = register(&gateway, "ann").await;
    let content = content(2 * CHUNK + 100);
    let mut upload = open(&gateway, &ann.0, 7, content.len()).await;
    assert!(!upload.put(content.slice(..1000)).await.unwrap());
    assert!(upload.put(content.slice(1000..CHUNK + 1)).await.unwrap());
    drop(upload);
    // Only whole chunks are safe.
    let mut upload = open(&gateway, &ann.0, 7, content.len()).await;
    assert_eq!(upload.reached().bytes, CHUNK_BYTES);
    upload.put(content.slice(CHUNK..)).await.unwrap();
    assert!(matches!(refused(upload.put(Bytes::from_static(b"x")).await), Refusal::Rejected(Rejection::Invalid(_))));
    let attached = upload.finish(Some(ContentHash::of(&content))).await.unwrap();
    let again = gateway.begin_upload(&ann.0, begin(7, content.len()), soon()).await.unwrap();
    assert!(matches!(again, Begun::Finished(known) if known == attached));

    let message = sent(&gateway, &ann, attached.attachment).await;
    let listed = chat::ListAttachmentsRequest { conversation: 0, message: message.id };
    let listed = gateway.list_attachments(&ann.0, listed).unwrap();
    assert_eq!((listed.conversation, listed.attachments.len()), (message.conversation, 1));
    for (offset, length) in [(0, 0), (0, 1), (CHUNK - 1, 2), (CHUNK, CHUNK), (5, 2 * CHUNK + 50), (2 * CHUNK + 99, 9)] {
        let request = chat::DownloadAttachmentRequest {
            conversation: 0,
            message: message.id,
            attachment: attached.attachment.0,
            offset: offset as u64,
            length: length as u64,
        };
        let end = if length == 0 { content.len() } else { content.len().min(offset + length) };
        assert!(read(&gateway, &ann.0, &request).await == content[offset..end], "{offset}, {length}");
        let behind = chat::DownloadAttachmentRequest { offset: content.len() as u64 + 1, ..request };
        assert!(gateway.open_download(&ann.0, &behind).is_err());
        let eve = register(&gateway, &format!("eve{offset}-{length}")).await;
        assert!(gateway.open_download(&eve.0, &request).is_err());
    }
}

#[tokio::test]
async fn what_pretends_to_be_a_picture_is_not_called_one() {
    let gateway = Solo::new().gateway();
    let (ann, _) = register(&gateway, "ann").await;
    let page = Bytes::from_static(b"<script>alert(1)</script>");
    let mut picture = b"\xff\xd8\xff\xe0".to_vec();
    picture.extend(content(CHUNK));
    let picture = Bytes::from(picture);
    let files = [(&page, "application/octet-stream"), (&picture, "image/jpeg")];
    for (nonce, (content, expected)) in (1..).zip(files) {
        let begin = chat::BeginUpload { content_type: "image/png".into(), ..begin(nonce, content.len()) };
        let again = || gateway.begin_upload(&ann, begin.clone(), soon());
        let Begun::Open(mut upload) = again().await.unwrap() else { panic!("finished before it began") };
        // After a break it is looked at all the same.
        let half = content.len().min(CHUNK);
        upload.put(content.slice(..half)).await.unwrap();
        if half < content.len() {
            drop(upload);
            let Begun::Open(again) = again().await.unwrap() else { panic!("finished before its end") };
            upload = again;
            upload.put(content.slice(half..)).await.unwrap();
        }
        let attached = upload.finish(None).await.unwrap();
        assert_eq!(attached.content_type, expected);
        assert!(matches!(again().await.unwrap(), Begun::Finished(known) if known == attached));
    }
}

#[tokio::test]
async fn what_is_not_what_was_said_is_discarded() {
    let solo = Solo::new();
    let gateway = solo.gateway();
    let (ann, _) = register(&gateway, "ann").await;
    let mut upload = open(&gateway, &ann, 1, 10).await;
    upload.put(Bytes::from_static(b"0123456789")).await.unwrap();
    let wrong = upload.finish(Some(ContentHash::of(b"another"))).await;
    assert!(refused(wrong).to_string().contains("another SHA-256"));
    let short = open(&gateway, &ann, 2, 10).await.only_try();
    let early = short.finish(None).await;
    assert_eq!(refused(early), Refusal::Rejected(Rejection::UploadOutOfPlace { expected: 0 }));
    // Each is taken back in passing.
    let usage = || gateway.door().read(|store| threefold_core::query::usage(store, ann.session.account));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!((usage().bytes, usage().unsent), (0, 0));
}

#[tokio::test]
async fn files_are_limited_and_so_is_their_number() {
    let limits = AttachmentLimits { attachment_bytes: 100, quota_bytes: 150 };
    let gateway = Solo::new().gateway().with_attachments(limits, None);
    let (ann, _) = register(&gateway, "ann").await;
    let large = gateway.begin_upload(&ann, begin(1, 101), soon()).await;
    assert_eq!(refused(large), Refusal::Rejected(Rejection::AttachmentTooLarge { limit_bytes: 100 }));
    let mut held = vec![open(&gateway, &ann, 1, 100).await];
    let over = gateway.begin_upload(&ann, begin(2, 100), soon()).await;
    let exceeded = Rejection::QuotaExceeded { used_bytes: 100, quota_bytes: 150 };
    assert_eq!(refused(over), Refusal::Rejected(exceeded));
    // The same one many times: nobody takes all the places.
    for _ in held.len()..UPLOADS_OF_ONE {
        held.push(open(&gateway, &ann, 1, 100).await);
    }
    let full = gateway.begin_upload(&ann, begin(1, 100), soon()).await;
    assert!(matches!(refused(full), Refusal::Overloaded(_)));
    for number in 1..UPLOADS / UPLOADS_OF_ONE {
        let (other, _) = register(&gateway, &format!("other{number}")).await;
        for _ in 0..UPLOADS_OF_ONE {
            held.push(open(&gateway, &other, 1, 100).await);
        }
    }
    let (last, _) = register(&gateway, "last").await;
    assert!(matches!(refused(gateway.begin_upload(&last, begin(1, 100), soon()).await), Refusal::Overloaded(_)));
    held.pop();
    open(&gateway, &last, 1, 100).await;
}

fn frame(frame: Frame) -> Result<chat::UploadFrame, Refusal> {
    Ok(chat::UploadFrame { frame: Some(frame) })
}

#[tokio::test(start_paused = true)]
async fn who_sends_too_slowly_is_let_go() {
    let gateway = Solo::new().gateway();
    let (ann, _) = register(&gateway, "ann").await;
    let (frames, incoming) = mpsc::channel(8);
    let (replies, mut outgoing) = mpsc::channel(stream::REPLIES);
    let taking = gateway.clone();
    tokio::spawn(async move { taking.take_upload(&ann, ReceiverStream::new(incoming), replies).await });
    frames.send(frame(Frame::Begin(begin(1, 2 * CHUNK)))).await.unwrap();
    let reached = |reply: chat::UploadReply| matches!(reply.reply, Some(Reply::Reached(reached)) if reached.bytes == 0);
    assert!(reached(outgoing.recv().await.unwrap().unwrap()));
    let began = Instant::now();
    // A byte now and then does not help.
    let sending = async {
        while frames.send(frame(Frame::Content(Bytes::from_static(b"x")))).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let (_, ended) = tokio::join!(sending, outgoing.recv());
    assert!(matches!(ended.unwrap(), Err(Refusal::Unavailable(_))));
    assert!(began.elapsed() < super::CHUNK_PATIENCE + Duration::from_secs(5));
}

#[tokio::test]
async fn frames_out_of_place_end_an_upload() {
    let gateway = Solo::new().gateway();
    let (ann, _) = register(&gateway, "ann").await;
    let cases = [
        vec![Frame::Content(Bytes::from_static(b"x"))],
        vec![Frame::Begin(begin(1, 5)), Frame::Begin(begin(1, 5))],
        vec![Frame::Begin(begin(2, 5)), Frame::Content(Bytes::from_static(b"123456"))],
        vec![Frame::Begin(begin(3, 5)), Frame::Finish(chat::FinishUpload { sha256: Bytes::from_static(b"short") })],
        vec![Frame::Begin(begin(4, 5)), Frame::Finish(chat::FinishUpload::default())],
        vec![Frame::Begin(begin(5, 5))],
        vec![],
    ];
    for case in cases {
        let (replies, mut outgoing) = mpsc::channel(stream::REPLIES);
        let frames = futures::stream::iter(case.clone().into_iter().map(frame));
        gateway.take_upload(&ann, frames, replies).await;
        let mut last = None;
        while let Some(reply) = outgoing.recv().await {
            last = Some(reply);
        }
        assert!(last.unwrap().is_err(), "{case:?}");
    }
}
