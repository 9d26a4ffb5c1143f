//! Files, which go by ways of their own: a stream each over gRPC, and plain HTTP.

use serde_json::{Value, json};
use threefold_client::chat::{
    BeginUpload, DownloadAttachmentRequest, FinishUpload, UploadFrame, chat_client::ChatClient, download_reply,
    upload_frame::Frame, upload_reply,
};
use tonic::{Request, Status, transport::Channel};

use super::ways::{Told, code_of, code_of_status};
use crate::attachments::http;

pub const UPLOAD: &str = "upload_attachment";
pub const DOWNLOAD: &str = "download_attachment";
/// The calls that go by these ways only.
pub const CALLS: [&str; 2] = [UPLOAD, DOWNLOAD];

/// The file that everybody sends: a picture of one point.
const CONTENT: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90wS\xde\
\0\0\0\x0cIDATx\xdacPhp\0\0\x01\xa4\0\xe1\x93.t-\0\0\0\0IEND\xaeB`\x82";

/// Whoever is given a file is given that one, whole.
fn received(content: &[u8]) -> Told {
    assert!(content == CONTENT, "not what was sent: {} bytes", content.len());
    Ok(json!({"bytes": content.len()}))
}

/// Asks by plain HTTP, at that server.
pub fn over_http(token: &str, server: &str, call: &str, with: &Value) -> Told {
    let is_of_thumbnail = with["thumbnail"] == true;
    let answer = match call {
        UPLOAD => {
            let name = with["name"].as_str().unwrap();
            http(token, server, &format!("POST /attachments?name={name}"), &[], CONTENT)
        }
        DOWNLOAD => {
            let path = format!("/attachments/{}/{}/{}", with["conversation"], with["message"], with["attachment"]);
            let query = if is_of_thumbnail { "?thumbnail" } else { "" };
            http(token, server, &format!("GET {path}{query}"), &[], b"")
        }
        _ => panic!("no call {call} over HTTP"),
    };
    match answer.status {
        200 if is_of_thumbnail => {
            assert!(answer.head.contains("content-type: image/jpeg"), "{}", answer.head);
            Ok(json!({"bytes": answer.body.len()}))
        }
        200 => received(&answer.body),
        201 => Ok(serde_json::from_slice(&answer.body).unwrap()),
        _ => Err(code_of(&serde_json::from_slice(&answer.body).unwrap())),
    }
}

/// Asks by gRPC.
pub async fn over_grpc(channel: Channel, token: &str, call: &str, with: Value) -> Told {
    let told = match call {
        UPLOAD => upload(channel, token, with["name"].as_str().unwrap()).await,
        DOWNLOAD => download(channel, token, serde_json::from_value(with).unwrap()).await,
        _ => panic!("no stream {call}"),
    };
    told.unwrap_or_else(|status| Err(code_of_status(&status)))
}

fn with_token<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

async fn upload(channel: Channel, token: &str, name: &str) -> Result<Told, Status> {
    let begin = BeginUpload {
        nonce: rand::random(),
        name: name.to_owned(),
        content_type: String::new(),
        bytes: CONTENT.len() as u64,
    };
    let frames = [
        Frame::Begin(begin),
        Frame::Content(CONTENT.into()),
        Frame::Finish(FinishUpload { sha256: Vec::new().into() }),
    ]
    .map(|frame| UploadFrame { frame: Some(frame) });
    let frames = futures::stream::iter(frames);
    let mut replies = ChatClient::new(channel).upload_attachment(with_token(token, frames)).await?.into_inner();
    while let Some(reply) = replies.message().await? {
        if let Some(upload_reply::Reply::Finished(attached)) = reply.reply {
            return Ok(Ok(json!({"id": attached.attachment})));
        }
    }
    panic!("an upload ended without a word");
}

async fn download(channel: Channel, token: &str, request: DownloadAttachmentRequest) -> Result<Told, Status> {
    let mut replies = ChatClient::new(channel).download_attachment(with_token(token, request)).await?.into_inner();
    let mut content = Vec::new();
    while let Some(reply) = replies.message().await? {
        if let Some(download_reply::Reply::Content(piece)) = reply.reply {
            content.extend(piece);
        }
    }
    Ok(received(&content))
}
