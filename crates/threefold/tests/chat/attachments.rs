//! Files: up through a failover, down elsewhere, in parts, and only for those who may have them.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::harness::{Cluster, Failed, Person, Process, text, until, wait};

/// Bytes that do not repeat within a chunk.
pub fn content(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

fn file(cluster: &Cluster, name: &str, content: &[u8]) -> PathBuf {
    let path = cluster.directory.join(name);
    fs::write(&path, content).unwrap();
    path
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The newest message as somebody sees it, once it has this text.
fn newest(reader: &Person, peer: &str, body: &str) -> Value {
    until("a message to arrive", || reader.history(peer).last().filter(|message| message["body"] == body).cloned())
}

/// An HTTP answer: its status, its headers in lower case, and its body.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

/// The token of somebody's session.
fn token(person: &Person) -> String {
    let session: Value = serde_json::from_str(&fs::read_to_string(&person.session).unwrap()).unwrap();
    session["token"].as_str().unwrap().to_owned()
}

/// One request over HTTP/1.1, as the one whose token that is.
pub fn http(token: &str, server: &str, request: &str, headers: &[&str], body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(server).unwrap();
    let mut head = format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n");
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    if request.starts_with("POST") {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    // A request that is refused is not read to its end.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = text(answer[..end].to_vec()).to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: answer[end + 4..].to_vec() }
}

#[test]
fn a_file_goes_up_while_the_leader_is_killed_and_comes_down_elsewhere() {
    let mut cluster = Cluster::start(&[]);
    let [ann, bob] = ["ann", "bob"].map(|name| cluster.person(name));
    let content = content(25 << 20);
    let large = file(&cluster, "large.bin", &content);
    let leader = cluster.leader();
    let applied = || until("a status", || cluster.own_status(leader))["applied_index"].as_u64().unwrap();
    let mut sending = until("a file that is under way", || {
        let before = applied();
        let mut sending =
            Process::spawn(&mut ann.command(&["send", "bob", "--attach", path(&large), "look", "--json"]));
        wait("some of the file", || applied() > before + 10);
        // Held here, so that the leader dies in the middle. On a machine that lets this thread wait it may be too late.
        sending.signal("-STOP");
        sending.try_wait().unwrap().is_none().then_some(sending)
    });
    cluster.kill(&[leader]);
    sending.signal("-CONT");
    let status = until("the file to be there", || sending.try_wait().unwrap());
    let mut said = String::new();
    sending.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(status.success(), "{said}\n{}", cluster.said());

    let message = newest(&bob, "ann", "look");
    let attached = &message["attachments"][0];
    assert_eq!((attached["name"].as_str(), attached["bytes"].as_u64()), (Some("large.bin"), Some(25 << 20)));
    let other = cluster.servers.iter().find(|server| server.is_started()).unwrap();
    let down = cluster.directory.join("down");
    fs::create_dir(&down).unwrap();
    let id = message["id"].to_string();
    bob.at(&other.client).done(&["download", &id, "--to", path(&down)]);
    assert!(fs::read(down.join("large.bin")).unwrap() == content, "not what was sent");

    // The server that was killed has it too, once it is back.
    cluster.start_all();
    cluster.wait_until_whole();
    let returned = bob.at(&cluster.servers[leader].client);
    returned.done(&["download", &id, "--to", path(&down)]);
    assert!(fs::read(down.join("large (2).bin")).unwrap() == content, "not what was sent");
}

#[test]
fn files_have_limits_and_go_with_their_message() {
    let cluster = Cluster::start(&["--attachment-mib", "1", "--attachment-quota-mib", "2"]);
    let [ann, bob, eve] = ["ann", "bob", "eve"].map(|name| cluster.person(name));
    let whole = file(&cluster, "whole.bin", &content(1 << 20));
    let large = file(&cluster, "large.bin", &content((1 << 20) + 1));
    let small = file(&cluster, "small.txt", b"small");
    let send = |attached: &[&Path], body: &str| {
        let mut arguments = vec!["send", "bob", body];
        attached.iter().for_each(|attached| arguments.extend(["--attach", path(attached)]));
        ann.done(&arguments)
    };
    assert_eq!(ann.fails(&["send", "bob", "--attach", path(&large)]).short(), (1, "ATTACHMENT_TOO_LARGE"));
    assert_eq!(ann.fails(&["send", "bob", "--attach", "/nowhere"]).short(), (2, "USAGE"));
    send(&[&whole, &small], "two");
    let message = newest(&bob, "ann", "two");
    let id = message["id"].to_string();
    assert_eq!(message["attachments"].as_array().unwrap().len(), 2);
    assert!(bob.done(&["messages", "ann"]).contains("[whole.bin, 1.0 MiB]"));
    assert_eq!(ann.fails(&["send", "bob", "--attach", path(&whole)]).short(), (1, "QUOTA_EXCEEDED"));

    let down = cluster.directory.join("down");
    fs::create_dir(&down).unwrap();
    let download = ["download", id.as_str(), "--to", path(&down)];
    assert_eq!(eve.fails(&download).short(), (1, "UNKNOWN_MESSAGE"));
    assert_eq!(bob.json(&download).len(), 2);
    assert_eq!(fs::read(down.join("small.txt")).unwrap(), b"small");

    // Without a text, and more than one message may have.
    ann.done(&["send", "bob", "--attach", path(&small)]);
    assert!(newest(&bob, "ann", "")["attachments"][0]["name"] == "small.txt");
    let mut many = vec!["send", "bob", "many"];
    (0..11).for_each(|_| many.extend(["--attach", path(&small)]));
    assert_eq!(ann.fails(&many).short(), (1, "INVALID"));

    ann.done(&["delete-message", &id, "--everyone"]);
    wait("that they are gone", || bob.done(&download) == format!("nothing is attached to {id}\n"));
    send(&[&whole], "room again");
}

#[test]
fn pages_and_curl_have_files_over_http() {
    let mut cluster = Cluster::start(&[]);
    let [ann, bob, eve] = ["ann", "bob", "eve"].map(|name| cluster.person(name));
    let leader = cluster.leader();
    let [first, second] = [(leader + 1) % 3, (leader + 2) % 3];
    let (up, down) = (cluster.servers[first].client.clone(), cluster.servers[second].client.clone());
    let mut picture = b"\x89PNG\r\n\x1a\n".to_vec();
    picture.extend(content(600_000));
    let post = |query: &str, body: &[u8]| http(&token(&ann), &up, &format!("POST /attachments?{query}"), &[], body);

    let wrong = post(&format!("name=a.png&sha256={}", "0".repeat(64)), &picture);
    assert_eq!(wrong.status, 400, "{}", text(wrong.body));
    assert_eq!(post("name=a%2Fb", b"x").status, 400);
    let stranger = Person { session: cluster.directory.join("nobody"), ..ann.clone() };
    fs::write(&stranger.session, format!("{{\"token\":\"{}\"}}", "7".repeat(64))).unwrap();
    assert_eq!(http(&token(&stranger), &up, "POST /attachments?name=x", &[], b"x").status, 401);
    let answer = post("name=caf%C3%A9.png", &picture);
    assert_eq!(answer.status, 201, "{}", text(answer.body));
    let uploaded: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((uploaded["name"].as_str(), uploaded["bytes"].as_u64()), (Some("café.png"), Some(600_008)));

    // The rest of the way is the library's: a message with a file of its own, then over HTTP.
    cluster.kill(&[leader]);
    let path_of_picture = file(&cluster, "picture.png", &picture);
    ann.done(&["send", "bob", "see", "--attach", path(&path_of_picture)]);
    let page = file(&cluster, "page.html", b"<script>alert(1)</script>");
    ann.done(&["send", "bob", "page", "--attach", path(&page)]);
    newest(&bob, "ann", "page");
    let history = bob.history("ann");
    let place = |message: &Value| {
        format!("GET /attachments/{}/{}/{}", message["conversation"], message["id"], message["attachments"][0]["id"])
    };
    let (see, page) = (place(&history[0]), place(&history[1]));
    let get = |person: &Person, what: &str, headers: &[&str]| http(&token(person), &down, what, headers, b"");

    let whole = get(&bob, &see, &[]);
    assert!(whole.status == 200 && whole.body == picture, "{}", whole.head);
    let etag = whole.head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
    for expected in ["content-type: image/png", "nosniff", "inline; filename=\"picture.png\"", "content-length: 600008"]
    {
        assert!(whole.head.contains(expected), "{expected}: {}", whole.head);
    }
    let part = get(&bob, &see, &["range: bytes=262000-262299"]);
    assert!(part.status == 206 && part.body == picture[262_000..262_300], "{}", part.head);
    assert!(part.head.contains("content-range: bytes 262000-262299/600008"));
    let tail = get(&bob, &see, &["range: bytes=-8", &format!("if-range: {etag}")]);
    assert!(tail.status == 206 && tail.body == picture[600_000..]);
    assert_eq!(get(&bob, &see, &["range: bytes=600008-"]).status, 416);
    // What a browser has kept it shows only after asking whether it may.
    let known = [&*format!("if-none-match: {etag}")];
    let unchanged = get(&bob, &see, &known);
    assert_eq!(unchanged.status, 304);
    for answer in [&whole, &unchanged] {
        assert!(answer.head.contains("cache-control: private, no-cache"), "{}", answer.head);
    }
    assert_eq!(get(&eve, &see, &[]).status, 404);
    assert_eq!(get(&eve, &see, &known).status, 404);
    // Nobody's page runs as one of this server's.
    let harmless = get(&bob, &page, &[]);
    for expected in ["content-type: application/octet-stream", "attachment; filename=\"page.html\"", "sandbox"] {
        assert!(harmless.head.contains(expected), "{expected}: {}", harmless.head);
    }
    let id = history[0]["id"].to_string();
    ann.done(&["delete-message", &id, "--everyone"]);
    wait("that it is gone", || get(&bob, &see, &[]).status == 404);
    assert_eq!(get(&bob, &see, &known).status, 404);
}

/// A picture in two colours, as a PNG.
fn picture(width: u32, height: u32) -> Vec<u8> {
    let color = |x| if x < width / 2 { [220, 20, 20] } else { [20, 20, 220] };
    let points = image::RgbImage::from_fn(width, height, |x, _| image::Rgb(color(x)));
    let mut file = std::io::Cursor::new(Vec::new());
    points.write_to(&mut file, image::ImageFormat::Png).unwrap();
    file.into_inner()
}

#[test]
fn pages_have_thumbnails_at_every_server_though_the_leader_died_and_nobody_else_has() {
    let mut cluster = Cluster::start(&[]);
    let [ann, bob, eve] = ["ann", "bob", "eve"].map(|name| cluster.person(name));
    let whole = picture(1200, 600);
    let files = [
        file(&cluster, "picture.png", &whole),
        file(&cluster, "broken.png", &whole[..whole.len() / 2]),
        file(&cluster, "words.txt", b"no picture"),
    ];
    let mut send = vec!["send", "bob", "look"];
    files.iter().for_each(|attached| send.extend(["--attach", path(attached)]));
    ann.done(&send);
    let message = newest(&bob, "ann", "look");
    let place = |number: usize| {
        let attached = &message["attachments"][number]["id"];
        format!("GET /attachments/{}/{}/{attached}", message["conversation"], message["id"])
    };
    cluster.kill(&[cluster.leader()]);
    for server in cluster.servers.iter().filter(|server| server.is_started()) {
        let get = |person: &Person, number: usize, headers: &[&str]| {
            http(&token(person), &server.client, &format!("{}?thumbnail", place(number)), headers, b"")
        };
        let small = until("a thumbnail", || Some(get(&bob, 0, &[])).filter(|answer| answer.status != 503));
        assert_eq!(small.status, 200, "{}", small.head);
        for expected in
            ["content-type: image/jpeg", "nosniff", "content-disposition: inline", "default-src 'none'; sandbox"]
        {
            assert!(small.head.contains(expected), "{expected}: {}", small.head);
        }
        let seen = image::load_from_memory_with_format(&small.body, image::ImageFormat::Jpeg).unwrap().to_rgb8();
        assert_eq!(seen.dimensions(), (480, 240));
        assert!(seen.get_pixel(60, 120).0[0] > 150 && seen.get_pixel(420, 120).0[2] > 150, "its colours");
        assert!(get(&bob, 0, &[]).body == small.body, "the same when it is asked for again");
        let etag = small.head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
        assert_eq!(get(&bob, 0, &[&format!("if-none-match: {etag}")]).status, 304);
        // Who may not have the file is told no more of it: not even whether it is a picture.
        for number in 0..3 {
            assert_eq!(get(&eve, number, &[]).status, 404);
            assert_eq!(get(&eve, number, &[&format!("if-none-match: {etag}")]).status, 404);
        }
        for number in [1, 2] {
            let none = get(&bob, number, &[]);
            assert!(none.status == 415 && text(none.body).contains("there is no thumbnail of it"), "{}", none.head);
        }
        let original = http(&token(&bob), &server.client, &place(0), &[], b"");
        assert!(original.status == 200 && original.body == whole, "{}", original.head);
    }
    let id = message["id"].to_string();
    ann.done(&["delete-message", &id, "--everyone"]);
    let server = cluster.servers.iter().find(|server| server.is_started()).unwrap();
    let small = || http(&token(&bob), &server.client, &format!("{}?thumbnail", place(0)), &[], b"");
    wait("that its thumbnail is gone with it", || small().status == 404);
}

#[test]
fn a_file_that_is_broken_off_is_no_file() {
    let cluster = Cluster::start(&[]);
    let ann = cluster.person("ann");
    let mut small = ann.command(&["send", "ann", "--attach", "/dev/null", "--json"]);
    assert_eq!(Failed::of(&mut small, b"").short(), (2, "USAGE"));
    // Somebody says more than comes; the upload is taken back.
    let token = token(&ann);
    for _ in 0..10 {
        let mut stream = TcpStream::connect(&cluster.servers[0].client).unwrap();
        let head = format!(
            "POST /attachments?name=x HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: 1000000\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&[7; 300_000]).unwrap();
        stream.shutdown(std::net::Shutdown::Both).unwrap();
    }
    let file = file(&cluster, "after", b"all the same");
    until("a place for an upload", || {
        ann.run(&["send", "ann", "--attach", path(&file)]).status.success().then_some(())
    });
}
