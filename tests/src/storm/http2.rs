//! Clients of HTTP/2 over TLS: several requests at once in one connection that stays open.

use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use h2::client::SendRequest;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::change::{Property, SNI};
use super::client::{Answer, Question};
use super::load::Guest;
use super::origin::{ECHO, NAME};
use crate::wait::DEADLINE;

/// Requests in flight at once.
pub(crate) const AT_ONCE: usize = 4;

/// Asks until it is over.
pub(crate) fn run(guest: &Guest<'_>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(async {
            let mut turn = 0;
            while guest.goes_on() {
                if let Err(error) = connection(guest, &mut turn).await {
                    guest.fail(&format!("{error:#}"));
                }
            }
        }),
        Err(error) => guest.fail(&format!("no runtime: {error}")),
    }
}

/// One connection to its end, which only the end of it all is.
async fn connection(guest: &Guest<'_>, turn: &mut usize) -> anyhow::Result<()> {
    let begun = guest.ledger.ask(guest.gateway.0, Property::Certificate);
    let tcp = TcpStream::connect(guest.gateway.1.encrypted).await.context("connect")?;
    tcp.set_nodelay(true)?;
    let connector = TlsConnector::from(Arc::new(guest.behind.certificates.http2()));
    let stream = connector.connect(ServerName::try_from(SNI)?, tcp).await.context("handshake")?;
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    guest.judge_certificate(begun, shown.context("no certificate was shown")?);
    let (requests, connection) = h2::client::handshake(stream).await.context("handshake")?;
    let driver = tokio::spawn(connection);
    while guest.goes_on() {
        let mut flying = Vec::new();
        for _ in 0..AT_ONCE {
            let asked = guest.question(*turn);
            *turn += 1;
            let answer = tokio::spawn(ask(requests.clone(), asked.question.clone()));
            flying.push((asked, answer));
        }
        for (asked, answer) in flying {
            let answer = tokio::time::timeout(DEADLINE, answer).await;
            let answer = answer.context("no answer")??;
            guest.judge(&asked, &answer.with_context(|| format!("{:?}", asked.question))?);
        }
    }
    driver.abort();
    Ok(())
}

async fn ask(requests: SendRequest<Bytes>, question: Question) -> anyhow::Result<Answer> {
    let mut requests = requests.ready().await?;
    let request = http::Request::get(format!("https://{}{}", question.host, question.path))
        .header(ECHO, &question.echo)
        .body(())?;
    let (answer, _) = requests.send_request(request, true)?;
    let answer = answer.await?;
    let field = |name: &str| {
        let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let read = Answer {
        status: answer.status().as_u16(),
        origin: field(NAME),
        echo: field(ECHO),
        last: false,
    };
    let mut body = answer.into_body();
    while let Some(part) = body.data().await {
        body.flow_control().release_capacity(part?.len())?;
    }
    Ok(read)
}
