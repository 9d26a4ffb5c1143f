//! Noise on every port, while others chat: random bytes, half handshakes, floods of connections. Only the connection that
//! makes the noise ends.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpStream},
    path::Path,
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};

use crate::harness::{Cluster, Flow, PATIENCE, check_history, shared, until};

/// More than a server takes handshakes at a time, and far more than any queue of the operating system by default.
const FLOOD: usize = 300;
/// Nobody waits longer than half of all patience for an acknowledgement (a machine may stall), or than so many times what they waited for before.
const UNDISTURBED: u32 = 20;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Noise, the same in every run.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        // Marsaglia's xorshift64.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Says it all and waits until the server has closed the connection; gives what it answered.
fn shout(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(address);
    // The server may close at the first wrong byte.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
    }
    answer
}

/// The answer to a plain request for a page.
fn ask(address: &str, path: &str) -> String {
    let mut stream = connect(address);
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Has pairs of people chat at every server meanwhile, and checks that they did not notice. The abuse is told how to wait, while it
/// stands, until all of them have gone on.
fn while_others_chat(name: &str, abuse: impl FnOnce(&Cluster, &dyn Fn())) {
    let cluster = shared();
    let pids = || -> Vec<u64> {
        (0..3).map(|place| until("a status", || cluster.own_status(place))["pid"].as_u64().unwrap()).collect()
    };
    let before = pids();
    let people = [0, 1, 2].map(|place| cluster.person(&format!("{name}-{place}")).at(&cluster.servers[place].client));
    let to = |place: usize| people[(place + 1) % 3].name.clone();
    let flows = [0, 1, 2].map(|place| Flow::start(&people[place], &to(place)));
    let go_on = || flows.iter().for_each(|flow| flow.wait_for_more(10));
    let longest_gap = || flows.iter().map(Flow::longest_gap).max().unwrap_or_default();
    go_on();
    go_on();
    let bound = (PATIENCE / 2).max(longest_gap() * UNDISTURBED);
    abuse(cluster, &go_on);
    go_on();
    let gap = longest_gap();
    assert!(gap < bound, "somebody waited for {gap:?}, more than {bound:?}");
    for (place, flow) in flows.into_iter().enumerate() {
        let flowed = flow.finish();
        check_history(&people[place].history(&to(place)), &[&flowed]);
    }
    assert_eq!(pids(), before, "nobody was restarted");
    cluster.wait_until_whole();
    assert!(!cluster.said().contains("broken invariant"), "{}", cluster.said());
}

#[test]
fn noise_on_the_client_ports() {
    while_others_chat("client-noise", |cluster, go_on| {
        for server in &cluster.servers {
            let address = &server.client;
            for seed in 1..=12 {
                shout(address, &noise(seed, 7_usize.pow(seed as u32 % 6)));
                shout(address, &[PREFACE, &noise(seed, 3000)].concat());
            }
            // A TLS client at a plain port, a header without end, a body that is no message.
            shout(address, &[&[0x16, 3, 1, 2, 0, 1][..], &noise(1, 600)].concat());
            let long =
                [b"GET / HTTP/1.1\r\nhost: x\r\nx: ".to_vec(), vec![b'x'; 1 << 20], b"\r\n\r\n".to_vec()].concat();
            shout(address, &long);
            let post = "POST /threefold.chat.v1.Chat/SendMessage HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc\r\n\
                        content-length: 100\r\nconnection: close\r\n\r\n";
            shout(address, &[post.as_bytes(), &noise(2, 100)].concat());
            let about = ask(address, "/");
            assert!(about.starts_with("HTTP/1.0 200") && about.contains("Threefold"), "{about}");
            let unknown = ask(address, "/../etc");
            assert!(unknown.starts_with("HTTP/1.0 404"), "{unknown}");
            go_on();
        }
    });
}

#[test]
fn connections_without_end_at_a_client_port() {
    while_others_chat("client-flood", |cluster, go_on| {
        let address = &cluster.servers[0].client;
        let mut silent: Vec<TcpStream> = (0..FLOOD).map(|_| connect(address)).collect();
        // Half of them say a little and then nothing.
        for (number, stream) in silent.iter_mut().enumerate().filter(|(number, _)| number % 2 == 0) {
            let begun: &[u8] = if number % 4 == 0 { &PREFACE[..10] } else { b"GET / HT" };
            stream.write_all(begun).unwrap();
        }
        let newcomer = cluster.stranger("client-flood-newcomer").at(address);
        newcomer.done(&["register", "client-flood-newcomer"]);
        newcomer.done(&["send", "client-flood-newcomer", "still here"]);
        go_on();
        drop(silent);
    });
}

#[test]
fn noise_on_the_peer_ports() {
    while_others_chat("peer-noise", |cluster, go_on| {
        for server in &cluster.servers {
            let address = &server.peer;
            for seed in 1..=12 {
                shout(address, &noise(seed, 7_usize.pow(seed as u32 % 6)));
                // The head of a handshake's record, and then anything.
                shout(address, &[&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &noise(seed, 600)].concat());
            }
            shout(address, PREFACE);
            shout(address, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n");
            // A whole handshake without a certificate: the door stays shut.
            let mut stranger = handshake(cluster, server.peer.as_str(), &server.name, None);
            let error = talk(&mut stranger, PREFACE).unwrap_err().to_string();
            assert!(error.contains("CertificateRequired"), "{error}");
            // A member's certificate opens it; what is said there makes no sense.
            let mut member = handshake(cluster, &server.peer, &server.name, Some("server-3"));
            let _ = talk(&mut member, &noise(1, 10_000));
            let mut member = handshake(cluster, &server.peer, &server.name, Some("server-3"));
            let _ = talk(&mut member, &[PREFACE, &noise(2, 10_000)].concat());
            go_on();
        }
    });
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A connection to the peer port; the handshake itself happens with the first word.
fn handshake(cluster: &Cluster, address: &str, name: &str, as_server: Option<&str>) -> Tls {
    let certificates = cluster.directory.join("certs");
    let certificate = |path: &Path| CertificateDer::from_pem_file(path).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate(&certificates.join("authority.pem"))).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match as_server {
        None => config.with_no_client_auth(),
        Some(own) => {
            let chain = vec![certificate(&certificates.join(format!("{own}.pem")))];
            let key = PrivateKeyDer::from_pem_file(certificates.join(format!("{own}.key"))).unwrap();
            config.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from(name.to_owned()).unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), connect(address))
}

fn talk(stream: &mut Tls, words: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(words)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

#[test]
fn handshakes_without_end_at_a_peer_port() {
    while_others_chat("peer-flood", |cluster, go_on| {
        let newcomer = cluster.person("peer-flood-newcomer");
        for server in &cluster.servers {
            let mut silent: Vec<TcpStream> = (0..FLOOD / 2).map(|_| connect(&server.peer)).collect();
            // Half of them begin a handshake, slowly.
            for byte in [0x16, 3, 1] {
                silent.iter_mut().step_by(2).for_each(|stream| drop(stream.write_all(&[byte])));
            }
            newcomer.at(&server.client).done(&["send", "peer-flood-newcomer", "still here"]);
            go_on();
        }
    });
}
