//! Clients that ask without a pause, and the judgement of every answer.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use super::certificate::Encrypted;
use super::change::{Behind, Property, UNTOUCHED};
use super::client::{Answer, Connection, Question, tcp};
use super::ledger::{Begun, Ledger};

/// A gateway that is asked.
#[derive(Debug, Clone)]
pub(crate) struct Gateway {
    /// What it is called at the control plane.
    pub(crate) instance: String,
    /// Where it speaks HTTP/1.1.
    pub(crate) plain: SocketAddr,
    /// Where it speaks TLS.
    pub(crate) encrypted: SocketAddr,
}

/// How a client asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Every property, over one connection.
    Plain,
    /// The service that nobody changes, over one connection.
    Untouched,
    /// Every property over TLS, a few requests to a connection.
    Handshakes,
    /// Every property over TLS, all in one connection.
    Encrypted,
    /// Every property in HTTP/2 over TLS, several at once in one connection.
    Http2,
}

impl Manner {
    /// How many requests about properties one client has in flight.
    pub(crate) fn at_once(self) -> usize {
        match self {
            Self::Untouched => 0,
            Self::Http2 => super::http2::AT_ONCE,
            Self::Plain | Self::Handshakes | Self::Encrypted => 1,
        }
    }
}

/// Requests to a connection of [`Manner::Handshakes`].
const FEW: usize = 3;

/// A client.
pub(crate) struct Guest<'a> {
    /// Its number, for what it sends to be given back.
    pub(crate) number: usize,
    pub(crate) manner: Manner,
    /// Which gateway, and where that is.
    pub(crate) gateway: (usize, &'a Gateway),
    pub(crate) behind: &'a Behind,
    pub(crate) ledger: &'a Ledger,
    pub(crate) over: &'a AtomicBool,
}

/// A request that is to be judged.
pub(crate) struct Asked {
    pub(crate) question: Question,
    /// Nothing for what nobody changes.
    begun: Option<Begun>,
    property: Property,
}

impl Guest<'_> {
    /// Asks until it is over.
    pub(crate) fn run(&self) {
        match self.manner {
            Manner::Http2 => super::http2::run(self),
            Manner::Handshakes | Manner::Encrypted => self.encrypted(),
            Manner::Plain | Manner::Untouched => {
                let mut turn = 0;
                while self.goes_on() {
                    match tcp(self.gateway.1.plain) {
                        Ok(stream) => self.requests(stream, &mut turn, usize::MAX),
                        Err(error) => self.fail(&format!("connect: {error}")),
                    }
                }
            }
        }
    }

    fn encrypted(&self) {
        let mut turn = 0;
        while self.goes_on() {
            if let Some(stream) = self.handshake() {
                let few = if self.manner == Manner::Handshakes { FEW } else { usize::MAX };
                self.requests(stream, &mut turn, few);
            }
        }
    }

    /// A new connection, and whether the certificate is one that may be shown.
    fn handshake(&self) -> Option<Encrypted> {
        let begun = self.ledger.ask(self.gateway.0, Property::Certificate);
        let connected = self.behind.certificates.connect(self.gateway.1.encrypted);
        match connected {
            Ok((stream, shown)) => {
                self.judge_certificate(begun, &shown);
                Some(stream)
            }
            Err(error) => {
                self.fail(&format!("handshake: {error:#}"));
                None
            }
        }
    }

    /// Whether the certificate is one that may have been shown since then.
    pub(crate) fn judge_certificate(&self, begun: Begun, shown: &[u8]) {
        let states = self.ledger.admissible(begun);
        let certificates = &self.behind.certificates;
        let explained = states.iter().any(|state| certificates.explains(*state, shown));
        self.ledger.note(|verdicts| match explained {
            true => {
                verdicts.good += 1;
                verdicts.handshakes += 1;
                verdicts.certain += u64::from(states.len() == 1);
            }
            false => verdicts.misroute(format!(
                "{:?} {}: another certificate than those of states {states:?}",
                self.manner, self.gateway.1.instance
            )),
        });
    }

    /// Asks over one connection, so often at the most.
    fn requests(&self, stream: impl Read + Write, turn: &mut usize, most: usize) {
        let mut connection = Connection::over(stream);
        for _ in 0..most {
            if !self.goes_on() {
                return;
            }
            let asked = self.question(*turn);
            *turn += 1;
            match connection.ask(&asked.question) {
                Ok(answer) => {
                    self.judge(&asked, &answer);
                    if answer.last {
                        return;
                    }
                }
                Err(error) => {
                    self.fail(&format!("{:?}: {error}", asked.question));
                    return;
                }
            }
        }
    }

    /// The next question of a client, which begins now.
    pub(crate) fn question(&self, turn: usize) -> Asked {
        let echo = format!("{}-{turn}", self.number);
        if self.manner == Manner::Untouched {
            let question = Question { host: UNTOUCHED, path: format!("/turn/{turn}"), echo };
            return Asked { question, begun: None, property: Property::Certificate };
        }
        let properties = &Property::ROUTED;
        let property = properties[turn % properties.len()];
        let newest = self.ledger.newest(property);
        let path = property.path(newest, turn / properties.len());
        let question = Question { host: property.host(), path, echo };
        Asked { question, begun: Some(self.ledger.ask(self.gateway.0, property)), property }
    }

    /// Notes what an answer is worth.
    pub(crate) fn judge(&self, asked: &Asked, answer: &Answer) {
        let question = &asked.question;
        // What nobody changes is always in state 0.
        let states = asked.begun.map_or_else(|| vec![0], |begun| self.ledger.admissible(begun));
        if !matches!(answer.status, 200 | 404) {
            self.fail(&format!("{question:?}: {answer:?}"));
            return;
        }
        // An answer of the gateway itself does not go through an origin.
        let own = answer.origin.is_empty() || answer.echo == question.echo;
        let explains = |state: &usize| asked.property.explains(*state, &question.path, answer);
        let explained = own && states.iter().any(explains);
        self.ledger.note(|verdicts| match explained {
            true => {
                verdicts.good += 1;
                verdicts.certain += u64::from(states.len() == 1);
            }
            false => verdicts.misroute(format!(
                "{:?} {}: {question:?}: {answer:?} of states {states:?}",
                self.manner, self.gateway.1.instance
            )),
        });
    }

    /// Notes a request that failed.
    pub(crate) fn fail(&self, fault: &str) {
        let (manner, instance) = (self.manner, &self.gateway.1.instance);
        self.ledger.note(|verdicts| verdicts.fail(format!("{manner:?} {instance}: {fault}")));
    }

    /// Whether it is not over.
    pub(crate) fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }
}
