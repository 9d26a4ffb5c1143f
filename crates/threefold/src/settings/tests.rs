use clap::Parser;

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    settings: Settings,
}

fn flags(arguments: &[&str]) -> Settings {
    Cli::parse_from(std::iter::once(&"serve").chain(arguments)).settings
}

fn file(text: &str) -> Result<Settings, Failure> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("threefold.toml");
    fs::write(&path, text).unwrap();
    let strip = |path: Option<PathBuf>| path.map(|path| path.strip_prefix(directory.path()).unwrap().to_owned());
    Settings::read(&path)
        .map(|settings| Settings {
            data_dir: strip(settings.data_dir),
            peer_ca: strip(settings.peer_ca),
            peer_cert: strip(settings.peer_cert),
            peer_key: strip(settings.peer_key),
            ..settings
        })
        .map_err(|failure| Failure::Usage(failure.to_string().replace(&format!("{}/", directory.path().display()), "")))
}

const WHOLE: &[&str] = &["--name", "a", "--data-dir", "d", "--peer-ca", "ca", "--peer-cert", "c", "--peer-key", "k"];

#[test]
fn flags_win_over_the_file_and_the_file_over_defaults() {
    let below = file("name = \"b\"\nlog-level = \"debug\"\npeers = [\"x=h:1\"]\nbootstrap = true\n").unwrap();
    let complete = flags(&[WHOLE, &["--peer", "y=h:2,z=h:3", "--peer", "w=h:4"]].concat()).over(below);
    let complete = complete.complete().unwrap();
    assert_eq!(complete.config.name, "a");
    assert_eq!(complete.log_level, "debug");
    assert!(complete.config.bootstrap);
    let peers: Vec<&str> = complete.config.peers.iter().map(|peer| peer.name.as_str()).collect();
    assert_eq!(peers, ["y", "z", "w"]);
    assert_eq!(complete.config.client_listen, CLIENT_LISTEN);
    assert_eq!(complete.config.client_address, CLIENT_LISTEN.to_string());
    assert_eq!(complete.log_format, LogFormat::Text);
}

#[test]
fn errors_name_file_line_and_key() {
    let cases = [
        ("name = \"a\"\nnmae = \"b\"\n", "threefold.toml:2: unknown field `nmae`, expected"),
        ("\nclient-listen = \"localhost\"\n", "threefold.toml:2: client-listen: \"localhost\" is no address to listen"),
        ("peers = [\n  \"a=h:1\",\n  \"b\",\n]\n", "threefold.toml:1: peers: \"b\" is no peer: write NAME=HOST:PORT"),
        ("bootstrap = 1\n", "threefold.toml:1: bootstrap: invalid type"),
        ("log-format = \"xml\"\n", "threefold.toml:1: log-format: unknown variant `xml`, expected `text` or `json`"),
        ("name = \"a\"\nname = \"b\"\n", "threefold.toml:2: name: duplicate key"),
        ("name = \n", "threefold.toml:1: name: "),
    ];
    for (text, expected) in cases {
        let message = file(text).unwrap_err().to_string();
        assert!(message.starts_with(expected), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn what_is_missing_is_named_with_all_its_places() {
    let missing = flags(&["--name", "a"]).complete().unwrap_err();
    assert_eq!(
        missing,
        Failure::Usage(
            "data-dir is missing: give --data-dir, THREEFOLD_DATA_DIR, or data-dir in the configuration file"
                .to_owned()
        )
    );
}

#[test]
fn what_makes_no_sense_is_refused() {
    let cases: &[(&[&str], &str)] = &[
        (&["--client-listen", "0.0.0.0:7400"], "client-address is missing"),
        (&["--client-listen", "127.0.0.1:7500"], "both 127.0.0.1:7500"),
        (&["--peer", "a=h:1,a=h:2"], "listed twice"),
        (&["--chat-listen", "0.0.0.0:7450"], "chat-address is missing"),
        (&["--chat-listen", "127.0.0.1:7400"], "chat-listen and client-listen are both 127.0.0.1:7400"),
        (&["--chat-address", "h:1"], "chat-address is of no use without chat-listen"),
        (&["--attachment-mib", "1025"], "an attachment has at most 1024 MiB"),
    ];
    for (arguments, expected) in cases {
        let message = flags(&[WHOLE, arguments].concat()).complete().unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    let unnamed = flags(&[&["--name", "two words"], &WHOLE[2..]].concat()).complete().unwrap_err().to_string();
    assert!(unnamed.contains("no server name"), "{unnamed}");
    for text in ["", "h", ":1", "h:0", "h:x", "h:70000", "a b:1", "a:b:1"] {
        text.parse::<Address>().unwrap_err();
    }
    for text in ["", "chat.example", "https://", "https://chat.example/", "https://a b", "*"] {
        text.parse::<Origin>().unwrap_err();
    }
    for text in ["https://chat.example", "http://10.0.0.1:8080", "https://[::1]:7400"] {
        text.parse::<Origin>().unwrap();
    }
    for text in ["h:1", "[::1]:7400", "10.0.0.1:65535"] {
        text.parse::<Address>().unwrap();
    }
}

#[test]
fn a_written_file_is_read_back_the_same() {
    let settings = flags(&[WHOLE, &["--peer", "b=h:1", "--bootstrap", "--log-format", "json"]].concat());
    assert_eq!(file(&toml::to_string(&settings).unwrap()).unwrap(), settings);
}

#[test]
fn the_example_file_is_complete() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/threefold.example.toml");
    let settings = Settings::read(&path).unwrap();
    let written = toml::Value::try_from(&settings).unwrap();
    let keys: Vec<&str> = written.as_table().unwrap().keys().map(String::as_str).collect();
    for key in [
        "name",
        "data-dir",
        "client-listen",
        "chat-listen",
        "peer-listen",
        "client-address",
        "chat-address",
        "peer-address",
        "allowed-origins",
        "peers",
        "bootstrap",
        "peer-ca",
        "peer-cert",
        "peer-key",
        "log-level",
        "log-format",
    ] {
        assert!(keys.contains(&key), "the example shows {key}");
    }
    settings.complete().unwrap();
}
