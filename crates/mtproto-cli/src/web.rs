//! The pages of `mtproto serve --web`.

use std::collections::HashMap;
use std::fmt::Display;
use std::fs;
use std::path::Path;

use mtproto_kit::server::{Page, Pages};
use serde_json::json;

use crate::exit::Failure;
use crate::keys::KeyPair;

/// The most files that a site may have.
const FILES_MAX: usize = 256;
/// The most bytes that the files of a site may have together.
const SITE_LEN_MAX: usize = 32 << 20;

/// Where a page learns what it needs to make a key with the server.
const CONFIG: &str = "/config.json";

/// The data centre that pages name in the key exchange, as other clients do, to a server that takes
/// any.
const DC: i32 = 2;

/// A directory's files, read once, and [`CONFIG`].
pub(crate) struct Site {
    pages: HashMap<String, Page>,
}

impl Site {
    /// The site of a server with this key, which takes exchanges for `dc` only, if there is one,
    /// and answers over TLS or does not.
    ///
    /// It has the files right in `dir`; not what is in directories of it, and not what is hidden.
    /// `index.html` is also the page at `/`.
    ///
    /// # Errors
    /// If there are more than [`FILES_MAX`] files or [`SITE_LEN_MAX`] bytes, if there is no
    /// `index.html`, or if a file cannot be read.
    pub(crate) fn open(
        dir: &Path,
        pair: &KeyPair,
        dc: Option<i32>,
        has_tls: bool,
    ) -> Result<Self, Failure> {
        let config = json!({
            "dc": dc.unwrap_or(DC),
            "fingerprint": pair.fingerprint(),
            "public_key": pair.private.public().to_pem(),
            "transports": transports(has_tls),
        });
        let mut pages = HashMap::new();
        let mut room = SITE_LEN_MAX;
        for entry in fs::read_dir(dir).map_err(|error| unusable(dir, &error, "check --web"))? {
            let path = entry.map_err(|error| unusable(dir, &error, "check --web"))?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if name.starts_with('.') || !path.is_file() {
                continue;
            }
            if pages.len() == FILES_MAX {
                let reason = format!("more than {FILES_MAX} files");
                return Err(unusable(dir, &reason, "give --web the directory of a site"));
            }
            let page = read(&path, &mut room)?;
            pages.insert(format!("/{name}"), page);
        }
        let Some(index) = pages.get("/index.html") else {
            return Err(unusable(dir, &"no index.html", "build the site, or check --web"));
        };
        pages.insert("/".to_owned(), index.clone());
        let body = config.to_string().into();
        pages.insert(CONFIG.to_owned(), Page { content_type: "application/json", body });
        Ok(Self { pages })
    }
}

/// The transports that a page has, the best one first: one connection that carries everything both
/// ways, and that pages from HTTPS may use too.
// req: S80
fn transports(has_tls: bool) -> Vec<&'static str> {
    let all = [("wss", true), ("https", true), ("ws", false), ("http", false)];
    all.into_iter().filter(|(_, tls)| has_tls || !tls).map(|(name, _)| name).collect()
}

impl Pages for Site {
    fn page(&self, path: &str) -> Option<Page> {
        self.pages.get(path).cloned()
    }
}

/// Reads a file if it fits into `room`, and takes that from it.
fn read(path: &Path, room: &mut usize) -> Result<Page, Failure> {
    let broken = |error| unusable(path, &error, "make it readable");
    // Asked first, so that no giant is read.
    let len = fs::metadata(path).map_err(broken)?.len();
    if usize::try_from(len).is_ok_and(|len| len <= *room) {
        let body = fs::read(path).map_err(broken)?;
        *room = room.saturating_sub(body.len());
        return Ok(Page { content_type: content_type(path), body: body.into() });
    }
    let reason = format!("with it the site has more than {SITE_LEN_MAX} bytes");
    Err(unusable(path, &reason, "serve less, or from elsewhere"))
}

fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("css") => "text/css; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("ico") => "image/x-icon",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("png") => "image/png",
        Some("svg") => "image/svg+xml",
        Some("txt") => "text/plain; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

fn unusable(path: &Path, reason: &impl Display, fix: &str) -> Failure {
    Failure::usage(format!("{}: {reason}; {fix}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use serde_json::Value;
    use tempfile::TempDir;

    use super::*;

    /// A directory with these files.
    fn directory(files: &[(&str, &str)]) -> TempDir {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for (name, text) in files {
            fs::write(dir.path().join(name), text).expect("it is ours");
        }
        dir
    }

    fn open(dir: &TempDir) -> Result<Site, Failure> {
        let pair = KeyPair::open(&dir.path().join("server")).expect("a key pair");
        Site::open(dir.path(), &pair, Some(4), true)
    }

    /// What is shown at `path`: its type and itself.
    fn shown(site: &Site, path: &str) -> Option<(&'static str, String)> {
        let page = site.page(path)?;
        Some((page.content_type, String::from_utf8_lossy(&page.body).into_owned()))
    }

    fn refusal(dir: &TempDir) -> String {
        match open(dir) {
            Ok(_) => panic!("it is no site"),
            Err(failure) => format!("{failure:?}"),
        }
    }

    #[test]
    fn a_directory_is_a_site() {
        let dir =
            directory(&[("index.html", "<p>"), ("main.js", "1"), ("x.wasm", "2"), ("y", "3")]);
        let site = open(&dir).expect("a site");
        let html = ("text/html; charset=utf-8", "<p>".to_owned());
        assert_eq!(shown(&site, "/"), Some(html.clone()));
        assert_eq!(shown(&site, "/index.html"), Some(html));
        let script = ("text/javascript; charset=utf-8", "1".to_owned());
        assert_eq!(shown(&site, "/main.js"), Some(script));
        assert_eq!(shown(&site, "/x.wasm"), Some(("application/wasm", "2".to_owned())));
        assert_eq!(shown(&site, "/y"), Some(("application/octet-stream", "3".to_owned())));
    }

    // req: S80
    #[test]
    fn a_page_is_told_to_prefer_a_secure_websocket() {
        assert_eq!(transports(true), ["wss", "https", "ws", "http"]);
        assert_eq!(transports(false), ["ws", "http"]);
    }

    // req: S80
    #[test]
    fn a_page_learns_who_the_server_is() {
        let dir = directory(&[("index.html", "")]);
        let (kind, text) =
            shown(&open(&dir).expect("a site"), "/config.json").expect("it is there");
        assert_eq!(kind, "application/json");
        let config: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(config["dc"], 4);
        assert_eq!(config["transports"][0], "wss");
        let key = fs::read_to_string(dir.path().join("server/public.pem")).expect("it is there");
        assert_eq!(config["public_key"], key);
        assert_eq!(config["fingerprint"].as_str().map(str::len), Some(16));
    }

    #[test]
    fn nothing_else_is_shown() {
        let dir = directory(&[("index.html", ""), (".env", "secret")]);
        fs::create_dir(dir.path().join("deep")).expect("it is ours");
        fs::write(dir.path().join("deep/file"), "").expect("it is ours");
        let site = open(&dir).expect("a site");
        for path in ["/.env", "/deep", "/deep/file", "/../index.html", "//index.html", "/none", ""]
        {
            assert!(site.page(path).is_none(), "{path}");
        }
    }

    #[test]
    fn a_page_is_what_it_was_when_the_server_started() {
        let dir = directory(&[("index.html", "first")]);
        let site = open(&dir).expect("a site");
        fs::write(dir.path().join("index.html"), "second").expect("it is ours");
        assert_eq!(shown(&site, "/").map(|(_, text)| text).as_deref(), Some("first"));
    }

    #[test]
    fn a_site_has_limits() {
        assert!(refusal(&directory(&[("main.js", "")])).contains("no index.html"));

        let full = directory(&[("index.html", "")]);
        for number in 1..FILES_MAX {
            File::create(full.path().join(number.to_string())).expect("it is ours");
        }
        assert!(open(&full).is_ok());
        File::create(full.path().join("more")).expect("it is ours");
        assert!(refusal(&full).contains("more than 256 files"));

        let big = directory(&[("index.html", "")]);
        // A hole, which costs no disk.
        let hole = File::create(big.path().join("hole")).expect("it is ours");
        hole.set_len(SITE_LEN_MAX as u64).expect("it is ours");
        assert!(open(&big).is_ok());
        fs::write(big.path().join("index.html"), "x").expect("it is ours");
        assert!(refusal(&big).contains("more than 33554432 bytes"));
    }
}
