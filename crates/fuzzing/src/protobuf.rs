//! Messages of the chat protocol, as protobuf and as JSON, and what the domain makes of them.

use std::fmt::Debug;

use prost::Message;
use serde::{Serialize, de::DeserializeOwned};
use threefold_proto::{chat, convert, json};

use crate::without_nulls;

/// Protobuf, and then JSON, and back: the same message.
fn round<M: Message + Default + PartialEq + Debug + Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<M> {
    let message = M::decode(bytes).ok()?;
    assert_eq!(M::decode(&*message.encode_to_vec()).as_ref(), Ok(&message));
    let text = json::write(&message).expect("there is JSON of every message");
    let again: M = json::read(&text).unwrap_or_else(|refusal| panic!("{refusal}: {text} of {message:?}"));
    let again = json::write(&again).expect("there is JSON of every message");
    assert_eq!(without_nulls(&again), without_nulls(&text), "of {message:?}");
    Some(message)
}

/// The first byte says what the others are.
pub fn protobuf(data: &[u8]) {
    let Some((&kind, bytes)) = data.split_first() else { return };
    match kind % 12 {
        0 => client_frame(bytes),
        1 => drop(round::<chat::ServerFrame>(bytes)),
        2 => drop(round::<chat::Event>(bytes)),
        3 => history(bytes),
        4 => drop(round::<chat::RegisterRequest>(bytes).map(|request| convert::Token::from_bytes(&request.token))),
        5 => drop(round::<chat::SearchMessagesRequest>(bytes).map(|request| convert::search_limit(request.limit))),
        6 => drop(round::<chat::SearchAccountsRequest>(bytes).map(|request| convert::pattern(request.pattern))),
        7 => drop(round::<chat::ListConversationsReply>(bytes)),
        8 => drop(round::<chat::UploadFrame>(bytes)),
        9 => drop(round::<chat::ClusterStatus>(bytes)),
        10 => drop(round::<chat::GetMessagesRequest>(bytes).map(|request| convert::message_ids(request.messages))),
        _ => drop(round::<chat::Error>(bytes)),
    }
}

/// What a client says on a stream, as far as the domain's operation.
fn client_frame(bytes: &[u8]) {
    let Some(frame) = round::<chat::ClientFrame>(bytes) else { return };
    let Some(chat::client_frame::Frame::Write(write)) = frame.frame else { return };
    let bytes = write.encoded_len();
    let (request, answered) = (convert::request_id(write.request), convert::answered(&write));
    assert_eq!(answered.unwrap_or(0), write.answered);
    if let Ok(request) = request {
        let wire = write.request.expect("a number was given");
        assert_eq!((request.instance, request.number), (wire.instance, wire.number));
    }
    match convert::Operation::try_from(write.operation) {
        Ok(convert::Operation::Complete(operation)) => {
            // What goes into the log is bounded by what came, and comes out of it as it went in.
            let request = threefold_core::RequestId { instance: 1, number: 1 };
            let session = threefold_core::TokenHash([7; 32]);
            let command = threefold_core::Command::Write { session, request, operation, answered };
            let encoded = threefold_core::entry::encode_command(&command);
            assert_eq!(threefold_core::entry::decode_command(&encoded).as_ref(), Ok(&command));
            assert!(encoded.len() <= 2 * bytes + 200, "{} bytes of {bytes}", encoded.len());
        }
        Ok(_) => assert!(bytes <= 2 * convert::FORWARDED_BYTES),
        Err(refusal) => {
            let error = convert::error_of(&refusal);
            assert!(!error.message.is_empty());
        }
    }
}

fn history(bytes: &[u8]) {
    let Some(request) = round::<chat::HistoryRequest>(bytes) else { return };
    let _ = convert::history_page(request.from);
    assert_eq!(convert::page_limit(request.limit).is_ok(), request.limit <= 200);
    let _ = convert::Place::try_from(request.r#in);
}
