//! Text frames of a WebSocket.

use threefold_server::parsing;

use crate::without_nulls;

/// A frame that makes sense means the same when it is written again; one that does not is answered with an error.
pub fn websocket_message(data: &[u8]) {
    // What is not UTF-8 ends the connection before anything of ours sees it.
    let Ok(text) = std::str::from_utf8(data) else { return };
    match parsing::websocket(text) {
        Ok(again) => {
            let third = parsing::websocket(&again).unwrap_or_else(|answer| panic!("{answer}: {again} from {text}"));
            assert_eq!(without_nulls(&third), without_nulls(&again), "from {text}");
        }
        Err(answer) => {
            let answer: serde_json::Value = serde_json::from_str(&answer).expect("an answer is JSON");
            let error = &answer["error"];
            assert!(error["code"].is_string() && error["message"].as_str().is_some_and(|words| !words.is_empty()));
        }
    }
}
