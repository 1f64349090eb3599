//! A control plane as the source, played by the test: what it is asked, and what is made of its
//! answers.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use refgate_core::mirror::Update;
use refgate_core::repository::Repository;
use refgate_proxy::{ControlPlane, GatewayOptions, SourceFrom, SourceOptions, State, start};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::client::Client;
use crate::origin::Origin;
use crate::repository::Config;
use crate::tls_origin::Tls;
use crate::world::{options, runtime, service, wait};

/// What a gateway asked.
#[derive(Debug)]
struct Asked {
    line: String,
    token: String,
    body: Value,
}

/// What is done to an update before it is sent.
type Alter = Box<dyn FnMut(&mut Update) + Send>;

/// A control plane over a repository.
struct Plane {
    address: SocketAddr,
    asked: Receiver<Asked>,
    alter: Arc<Mutex<Option<Alter>>>,
}

impl Plane {
    fn over(config: &Config, tls: Option<ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let clock = Arc::new(jiff::Timestamp::now);
        let repository = Repository::open_beside(&config.path(), clock).unwrap();
        let (told, asked) = channel();
        let alter = Arc::<Mutex<Option<Alter>>>::default();
        let (altered, tls) = (Arc::clone(&alter), tls.map(Arc::new));
        // It ends with the test program.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
                let (repository, told) = (repository.clone(), told.clone());
                let (altered, tls) = (Arc::clone(&altered), tls.clone());
                // A client that does not trust it hangs up.
                std::thread::spawn(move || match tls {
                    None => answer(stream, &repository, &told, &altered),
                    Some(tls) => {
                        let tls = StreamOwned::new(ServerConnection::new(tls).unwrap(), stream);
                        answer(tls, &repository, &told, &altered)
                    }
                });
            }
        });
        Self { address, asked, alter }
    }

    fn alter(&self, alter: impl FnMut(&mut Update) + Send + 'static) {
        *self.alter.lock().unwrap() = Some(Box::new(alter));
    }

    /// The next request that is as wanted.
    fn asked(&self, wanted: impl Fn(&Asked) -> bool) -> Asked {
        loop {
            let asked = self.asked.recv_timeout(Duration::from_secs(30)).unwrap();
            if wanted(&asked) {
                return asked;
            }
        }
    }
}

/// Answers one request.
fn answer(
    stream: impl Read + Write,
    repository: &Repository,
    told: &Sender<Asked>,
    alter: &Mutex<Option<Alter>>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut line, mut token, mut length) = (String::new(), String::new(), 0);
    stream.read_line(&mut line)?;
    loop {
        let mut header = String::new();
        stream.read_line(&mut header)?;
        let Some((name, value)) = header.trim().split_once(": ") else { break };
        match name.to_lowercase().as_str() {
            "authorization" => value.clone_into(&mut token),
            "content-length" => length = value.parse().unwrap(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let since = line.split_once("since=").map(|(_, rest)| rest[..40].parse().unwrap());
    let group = "test".parse().unwrap();
    let (status, reply) = if line.contains("/v1/gateways") {
        ("200 OK", "{}".to_owned())
    } else if since.is_some() && since == repository.head(&group).ok() {
        ("304 Not Modified", String::new())
    } else if let Ok(mut update) = repository.update(&group, since) {
        if let Some(alter) = &mut *alter.lock().unwrap() {
            alter(&mut update);
        }
        ("200 OK", serde_json::to_string(&update).unwrap())
    } else {
        ("404 Not Found", r#"{"code": "not_found", "detail": "there is no group test"}"#.to_owned())
    };
    // Nobody may be interested any more.
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let _ = told.send(Asked { line: line.trim().to_owned(), token, body });
    let stream = stream.get_mut();
    let length = reply.len();
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n")?;
    stream.write_all(reply.as_bytes())?;
    stream.flush()
}

/// The options of a gateway that asks there.
fn remote(config: &Config, url: &str, ca: Option<&Path>) -> GatewayOptions {
    let token = config.folder().join("token");
    std::fs::write(&token, "first-token\n").unwrap();
    let target = ControlPlane {
        url: url.parse().unwrap(),
        token_file: Some(token),
        ca: ca.map(Path::to_owned),
    };
    let from = SourceFrom::ControlPlane(target.clone());
    let state_dir = Some(config.folder().join("state"));
    let source = SourceOptions { from, state_dir, check_in: Some(target) };
    GatewayOptions { source, ..options(config) }
}

fn shop(origin: &Origin) -> Config {
    let config = Config::new();
    let upstream = runtime(json!({"nodes": [origin.node()]}));
    config.commit("test", &service("shop", json!({"paths": ["/*"]}), upstream));
    config
}

#[test]
fn over_tls_with_an_authority_and_a_token_that_changes() {
    let origin = Origin::start("origin");
    let config = shop(&origin);
    let tls = Tls::new();
    let plane = Plane::over(&config, Some(tls.server()));
    let url = format!("https://{}", plane.address);

    // The system trusts nobody of ours: there is no configuration, and the status says why.
    let distrusting = start(remote(&config, &url, None)).unwrap();
    let status = wait(&distrusting, |status| status.away_since.is_some());
    let message = status.message.clone().unwrap();
    assert!(message.contains(&url) && message.contains("certificate"), "{message}");
    assert_eq!(status.commit, None);
    drop(distrusting);

    let gateway = start(remote(&config, &url, Some(tls.authority_file()))).unwrap();
    wait(&gateway, |status| status.state == State::Healthy);
    let mut client = Client::connect(gateway.address());
    assert_eq!(client.ask("GET", "a.com", "/x").status, 200);
    let first = plane.asked(|asked| asked.line.contains("/snapshot"));
    assert_eq!(first.token, "Bearer first-token");
    let check_in = plane.asked(|asked| asked.line.starts_with("POST /v1/gateways "));
    let known = [&check_in.body["instance"], &check_in.body["group"], &check_in.body["state"]];
    assert_eq!(known, [&json!("test-1"), &json!("test"), &json!("healthy")]);

    std::fs::write(config.folder().join("token"), "second-token").unwrap();
    plane.asked(|asked| asked.token == "Bearer second-token");
    // Without one it cannot ask, and serves on.
    std::fs::write(config.folder().join("token"), "").unwrap();
    let status = wait(&gateway, |status| status.away_since.is_some());
    assert!(status.message.as_deref().unwrap().contains("does not hold a token"), "{status:?}");
    assert_eq!(client.ask("GET", "a.com", "/x").status, 200);
    std::fs::write(config.folder().join("token"), "third-token").unwrap();
    wait(&gateway, |status| status.away_since.is_none());
    gateway.shutdown();
    gateway.join();
    plane.asked(|asked| asked.line.starts_with("DELETE /v1/gateways/test/test-1 "));
}

#[test]
fn what_does_not_add_up_is_told_and_asked_for_whole() {
    let origin = Origin::start("origin");
    let config = shop(&origin);
    let plane = Plane::over(&config, None);
    let gateway = start(remote(&config, &format!("http://{}", plane.address), None)).unwrap();
    wait(&gateway, |status| status.state == State::Healthy);
    let before = gateway.subscribe().borrow().commit;

    let route = "services/shop/routes/other.json";
    plane.alter(move |update| {
        if let Some(file) = update.files.get_mut(route) {
            file.text = Some("{\"paths\": [\"/stolen\"]}\n".to_owned());
        }
    });
    let commit = config.commit("test", &[(route, Some(json!({"paths": ["/other"]})))]);
    let status = wait(&gateway, |status| status.message.is_some());
    let message = status.message.as_deref().unwrap();
    assert!(message.contains(route) && message.contains("cannot be used"), "{message}");
    assert_eq!((status.commit, status.state), (before, State::Degraded));
    let mut client = Client::connect(gateway.address());
    assert_eq!(client.ask("GET", "a.com", "/x").status, 200);
    plane.asked(|asked| asked.line.contains("/snapshot HTTP"));
    plane.alter(|_| {});
    let status = wait(&gateway, |status| status.message.is_none());
    assert_eq!(status.commit.unwrap().to_string(), commit);
    assert_eq!(status.state, State::Healthy);
}

#[test]
fn only_what_changed_is_asked_for_and_loaded() {
    let origin = Origin::start("origin");
    let config = shop(&origin);
    let plane = Plane::over(&config, None);
    let gateway = start(remote(&config, &format!("http://{}", plane.address), None)).unwrap();
    let first = wait(&gateway, |status| status.state == State::Healthy).commit.unwrap();
    let files = Arc::new(Mutex::new(Vec::new()));
    let sent = Arc::clone(&files);
    plane.alter(move |update| sent.lock().unwrap().extend(update.files.keys().cloned()));
    let other = "services/shop/routes/other.json";
    let commit = config.commit("test", &[(other, Some(json!({"paths": ["/other"]})))]);
    wait(&gateway, |status| status.commit.is_some_and(|own| own.to_string() == commit));
    assert_eq!(*files.lock().unwrap(), [other]);
    plane.asked(|asked| asked.line.contains(&format!("since={first}")));

    // Its group goes and comes again with another history: what nobody knows here comes whole.
    config.git(&["update-ref", "-d", "refs/heads/test"]);
    let again = config.commit("test", &[(other, Some(json!({"paths": ["/else"]})))]);
    config.commit("test", &[("services/shop/service.json", Some(json!({})))]);
    let status = wait(&gateway, |status| {
        let beyond = status
            .commit
            .is_some_and(|own| ![first.to_string(), commit.clone()].contains(&own.to_string()));
        beyond && status.state == State::Healthy
    });
    assert_ne!(status.commit.unwrap().to_string(), again);
    assert_eq!(Client::connect(gateway.address()).ask("GET", "a.com", "/x").status, 404);
}
