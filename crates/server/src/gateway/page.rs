//! The page: its files, embedded in the program, as a browser is given them.
//!
//! Promises: every answer says what it is, how to tell whether it is still the newest, and what a page may do (nothing but load its
//! own files and speak with the cluster's servers); files are packed once, at the first request, all modules as one script (`bundle.rs`), sources
//! without comments and spaces (`source.rs`). A debug build reads them from `web/` at each request, so that who works on the page need not
//! build. Left out: any template, any file that is not in `web/`, any that has no [`KINDS`].

use std::{collections::BTreeMap, io::Write as _, sync::LazyLock};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request},
    response::{IntoResponse as _, Response},
};
use flate2::{Compression, write::GzEncoder};
use rust_embed::{EmbeddedFile, RustEmbed};
use threefold_core::ContentHash;

use self::bundle::Bundle;
use super::{Gateway, door::Door};

mod bundle;
mod source;

/// The files.
#[derive(RustEmbed)]
#[folder = "web/"]
struct Files;

/// What is given out, by the ends of names: its type, and whether it shrinks.
const KINDS: [(&str, &str, bool); 9] = [
    (".html", "text/html; charset=utf-8", true),
    (".css", "text/css; charset=utf-8", true),
    (".js", "text/javascript; charset=utf-8", true),
    (".json", "application/json", true),
    (".webmanifest", "application/manifest+json", true),
    (".svg", "image/svg+xml", true),
    (".txt", "text/plain; charset=utf-8", true),
    (".png", "image/png", false),
    (".woff2", "font/woff2", false),
];

/// A module, which is sent as a part of the whole script.
const MODULE: &str = ".js";
/// What is sent without comments and spaces.
const SOURCES: [&str; 2] = [MODULE, ".css"];

/// What a page may do. Texts of messages can become neither markup nor script, even if the page had a fault; no other site is asked for
/// anything, or may show the page in a frame. `connect-src` follows, with the servers of the cluster.
const POLICY: &str = "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; object-src 'none'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'; \
                      connect-src 'self'";

/// Of what a browser can do for a page, this one needs nothing of these.
const PERMISSIONS: &str =
    "camera=(), display-capture=(), geolocation=(), microphone=(), midi=(), payment=(), serial=(), usb=()";

/// A file, ready to be sent.
#[derive(Clone)]
struct Asset {
    kind: &'static str,
    /// Begins the entity tag.
    hash: String,
    plain: Bytes,
    /// Packed, where that makes it smaller.
    gzip: Option<Bytes>,
}

impl Asset {
    fn new(path: &str, file: EmbeddedFile, bundle: Option<&Bundle>) -> Option<Self> {
        let (_, kind, shrinks) = *KINDS.iter().find(|(end, ..)| path.ends_with(end))?;
        let is_script = path.ends_with(MODULE);
        let plain = match std::str::from_utf8(&file.data) {
            Ok(source) if SOURCES.iter().any(|end| path.ends_with(end)) => {
                let bundled = bundle.filter(|_| is_script).and_then(|bundle| bundle.sent(path));
                Bytes::from(source::thinned(bundled.as_deref().unwrap_or(source), is_script))
            }
            _ => Bytes::from_owner(file.data),
        };
        let ContentHash(hash) = ContentHash::of(&plain);
        let hash = hash.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        let gzip = shrinks.then(|| packed(&plain)).flatten();
        Some(Self { kind, hash, plain, gzip })
    }

    fn find(path: &str) -> Option<Self> {
        static PACKED: LazyLock<BTreeMap<String, Asset>> = LazyLock::new(|| {
            let bundle = bundle();
            let asset = |path: &str| Asset::new(path, Files::get(path)?, bundle.as_ref());
            Files::iter().filter_map(|path| Some((path.to_string(), asset(&path)?))).collect()
        });
        if cfg!(debug_assertions) { Self::read(path) } else { PACKED.get(path).cloned() }
    }

    fn read(path: &str) -> Option<Self> {
        let file = Files::get(path)?;
        let bundle = if path.ends_with(MODULE) { bundle() } else { None };
        Self::new(path, file, bundle.as_ref())
    }
}

fn bundle() -> Option<Bundle> {
    Bundle::of(&|path| String::from_utf8(Files::get(path)?.data.into_owned()).ok())
}

fn packed(plain: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).ok()?;
    let packed = encoder.finish().ok()?;
    (packed.len() < plain.len()).then(|| packed.into())
}

/// The file that is asked for; none: there is no such file.
pub(super) fn answer<D: Door>(gateway: &Gateway<D>, request: &request::Parts) -> Option<Response> {
    let path = file(request.uri.path())?;
    let asset = Asset::find(path)?;
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return Some((StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response());
    }
    let (packing, body) = match &asset.gzip {
        Some(gzip) if takes_gzip(&request.headers) => ("-gzip", gzip),
        Some(_) | None => ("", &asset.plain),
    };
    let tag = format!("\"{}{packing}\"", asset.hash);
    let is_known = text(&request.headers, &header::IF_NONE_MATCH).is_some_and(|known| known.contains(&tag));
    let mut response = match is_known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => Response::new(Body::from(body.clone())),
    };
    let headers = response.headers_mut();
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set("content-type", asset.kind);
    if !packing.is_empty() {
        set("content-encoding", "gzip");
    }
    set("vary", "accept-encoding");
    set("etag", &tag);
    // Kept, and asked for again each time: after an upgrade nobody has half of the old page.
    set("cache-control", "no-cache");
    set("content-security-policy", &policy(gateway, &request.headers));
    set("x-content-type-options", "nosniff");
    set("referrer-policy", "no-referrer");
    set("permissions-policy", PERMISSIONS);
    set("cross-origin-opener-policy", "same-origin");
    set("cross-origin-resource-policy", "same-origin");
    Some(response)
}

/// The file of a path of the page. Nothing that points elsewhere, or that a file system might take for it.
fn file(path: &str) -> Option<&str> {
    let path = path.strip_prefix('/')?;
    let plain = |part: &str| {
        let letter = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'.' | b'-' | b'_');
        !part.is_empty() && !part.starts_with('.') && part.bytes().all(letter)
    };
    match path {
        "" => Some("index.html"),
        path => path.split('/').all(plain).then_some(path),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let takes = |coding: &str| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok()) == Some(0.0);
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    };
    text(headers, &header::ACCEPT_ENCODING).is_some_and(|codings| codings.split(',').any(takes))
}

/// The policy, with the servers of the cluster, to any of which the page may go when the one it came from dies; and with the control
/// endpoint of `up`, where there is one.
fn policy<D: Door>(gateway: &Gateway<D>, headers: &HeaderMap) -> String {
    let plain = |place: &&str| {
        let letter =
            |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'.' | b'-' | b'_' | b':' | b'[' | b']');
        !place.is_empty() && place.bytes().all(letter)
    };
    // To some browsers a WebSocket is never of the same origin.
    let own = text(headers, &header::HOST).filter(plain).map(|host| format!(" ws://{host} wss://{host}"));
    let control = gateway.control().map(|control| format!(" http://{}", control.address));
    let members = gateway.door().client_addresses();
    let members = members.iter().map(String::as_str).filter(plain);
    let members = members.map(|at| format!(" http://{at} https://{at} ws://{at} wss://{at}"));
    std::iter::once(POLICY.to_owned()).chain(own).chain(control).chain(members).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use axum::http::Request;
    use flate2::read::GzDecoder;

    use super::*;
    use crate::gateway::testing::Solo;

    fn ask(method: &str, path: &str, headers: &[(&str, &str)]) -> Option<Response> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(&Solo::new().gateway(), &request.body(()).unwrap().into_parts().0)
    }

    fn get(path: &str, headers: &[(&str, &str)]) -> Response {
        ask("GET", path, headers).unwrap()
    }

    async fn body(response: Response) -> Vec<u8> {
        axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap().into()
    }

    fn header<'a>(response: &'a Response, name: &str) -> &'a str {
        response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[tokio::test]
    async fn the_page_comes_plain_or_packed_and_says_what_it_is() {
        let plain = get("/", &[]);
        assert_eq!(header(&plain, "content-type"), "text/html; charset=utf-8");
        assert_eq!((header(&plain, "content-encoding"), header(&plain, "vary")), ("", "accept-encoding"));
        assert_eq!(header(&plain, "x-content-type-options"), "nosniff");
        let tag = header(&plain, "etag").to_owned();
        let plain = body(plain).await;
        let packed = get("/index.html", &[("accept-encoding", "br, gzip;q=0.5")]);
        assert_eq!(header(&packed, "content-encoding"), "gzip");
        assert_ne!(header(&packed, "etag"), tag, "other bytes have another tag");
        let mut unpacked = Vec::new();
        GzDecoder::new(&*body(packed).await).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, plain);
        assert_eq!(header(&get("/", &[("accept-encoding", "gzip;q=0, br")]), "content-encoding"), "");
    }

    #[tokio::test]
    async fn what_is_known_is_not_sent_again() {
        let tag = header(&get("/", &[]), "etag").to_owned();
        let known = get("/", &[("if-none-match", &format!("\"other\", {tag}"))]);
        assert_eq!((known.status(), header(&known, "etag")), (StatusCode::NOT_MODIFIED, &*tag));
        assert!(header(&known, "content-security-policy").contains("frame-ancestors 'none'"));
        assert!(body(known).await.is_empty());
        assert_eq!(get("/", &[("if-none-match", "\"other\"")]).status(), StatusCode::OK);
        assert_eq!(header(&get("/", &[]), "cache-control"), "no-cache");
    }

    #[test]
    fn every_file_is_given_out() {
        let files: Vec<_> = Files::iter().collect();
        assert!(files.iter().any(|path| path == "index.html"), "{files:?}");
        // A name without an end is a note for who works on them.
        for path in files.into_iter().filter(|path| path.rsplit('/').next().is_some_and(|name| name.contains('.'))) {
            assert_eq!(get(&format!("/{path}"), &[]).status(), StatusCode::OK, "{path}");
        }
    }

    #[test]
    fn nothing_else_is() {
        for path in [
            "/no.js",
            "/../Cargo.toml",
            "/js/../../Cargo.toml",
            "/%2e%2e/Cargo.toml",
            "//etc/passwd",
            "/.git",
            "/js",
            "/js/",
            "/index.html/",
        ] {
            assert!(ask("GET", path, &[]).is_none(), "{path}");
        }
        assert_eq!(ask("POST", "/", &[]).unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
        assert!(ask("POST", "/nowhere", &[]).is_none());
    }

    #[test]
    fn the_policy_names_the_servers_of_the_cluster_and_nobody_else() {
        let page = get("/", &[("host", "chat.example")]);
        let policy = header(&page, "content-security-policy");
        assert!(policy.starts_with("default-src 'self'; ") && !policy.contains("unsafe"), "{policy}");
        let connect = policy.rsplit_once("connect-src ").unwrap().1;
        let members = Solo::new().client_addresses();
        assert_eq!(members.len(), 2);
        let mut expected = "'self' ws://chat.example wss://chat.example".to_owned();
        for at in members {
            expected += &format!(" http://{at} https://{at} ws://{at} wss://{at}");
        }
        assert_eq!(connect, expected);
        let odd = get("/", &[("host", "evil.example; script-src *")]);
        assert!(!header(&odd, "content-security-policy").contains("evil"));
    }

    /// What a page costs who comes for the first time over a slow line: all of it. Single modules are asked for by nobody but tests.
    #[test]
    fn the_whole_page_weighs_less_than_100_kilobytes() {
        let weight = |path: &str| Asset::read(path).map_or(0, |asset| asset.gzip.unwrap_or(asset.plain).len());
        let sent = Files::iter().filter(|path| !path.ends_with(MODULE) || path == bundle::MAIN);
        let bytes: usize = sent.map(|path| weight(&path)).sum();
        assert!((50_000..100_000).contains(&bytes), "{bytes} bytes");
    }

    #[tokio::test]
    async fn the_page_asks_for_one_script_which_all_modules_are_in() {
        let page = String::from_utf8(body(get("/", &[])).await).unwrap();
        assert_eq!(page.matches(".js\"").count(), 1, "{page}");
        assert!(page.contains(&format!("<script type=\"module\" src=\"/{}\"></script>", bundle::MAIN)), "{page}");
        let script = String::from_utf8(body(get("/js/main.js", &[])).await).unwrap();
        assert!(script.contains("const $views$settings=(()=>{") && !script.contains("import{"));
        let alone = String::from_utf8(body(get("/js/state/look.js", &[])).await).unwrap();
        assert!(alone.starts_with("import{$state$look}from '/js/main.js';\nexport const{theme,"), "{alone}");
    }
}
