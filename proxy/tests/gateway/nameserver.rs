//! A DNS server of one zone that changes as a test wants, over UDP.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::{RData, Record};

pub(crate) struct Nameserver {
    pub(crate) address: SocketAddr,
    zone: Arc<Zone>,
}

#[derive(Default)]
struct Zone {
    names: Mutex<BTreeMap<&'static str, Answer>>,
    asked: AtomicUsize,
}

#[derive(Clone)]
enum Answer {
    /// Seconds that the answer is good for, and the addresses.
    Addresses(u32, Vec<IpAddr>),
    /// The server has trouble of its own.
    Failure,
    /// There is no answer.
    Silence,
}

impl Nameserver {
    pub(crate) fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let zone = Arc::new(Zone::default());
        let asked = Arc::clone(&zone);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                if let Some(answer) = asked.answer(&Message::from_vec(&buffer[..length]).unwrap()) {
                    socket.send_to(&answer.to_vec().unwrap(), from).unwrap();
                }
            }
        });
        Self { address, zone }
    }

    /// The name has these addresses from now on; each answer is good for so many seconds.
    pub(crate) fn set(&self, name: &'static str, ttl: u32, addresses: &[IpAddr]) {
        self.change(name, Answer::Addresses(ttl, addresses.to_vec()));
    }

    /// Questions for the name fail from now on.
    pub(crate) fn fail(&self, name: &'static str) {
        self.change(name, Answer::Failure);
    }

    /// Questions for the name are left without an answer from now on.
    pub(crate) fn silence(&self, name: &'static str) {
        self.change(name, Answer::Silence);
    }

    /// The name does not exist from now on.
    pub(crate) fn remove(&self, name: &'static str) {
        self.zone.names.lock().unwrap().remove(name);
    }

    /// Questions so far.
    pub(crate) fn asked(&self) -> usize {
        self.zone.asked.load(Ordering::SeqCst)
    }

    fn change(&self, name: &'static str, answer: Answer) {
        self.zone.names.lock().unwrap().insert(name, answer);
    }
}

impl Zone {
    fn answer(&self, question: &Message) -> Option<Message> {
        let query = question.queries.first().unwrap();
        let name = query.name().to_string();
        let found = self.names.lock().unwrap().get(name.trim_end_matches('.')).cloned();
        let mut answer = Message::response(question.metadata.id, OpCode::Query);
        answer.add_query(query.clone());
        answer.metadata.recursion_available = true;
        match found {
            Some(Answer::Addresses(ttl, addresses)) => {
                let records = addresses.into_iter().map(RData::from);
                let records = records.filter(|it| it.record_type() == query.query_type());
                let record = |data| Record::from_rdata(query.name().clone(), ttl, data);
                answer.add_answers(records.map(record));
            }
            Some(Answer::Failure) => answer.metadata.response_code = ResponseCode::ServFail,
            Some(Answer::Silence) => {
                self.asked.fetch_add(1, Ordering::SeqCst);
                return None;
            }
            None => answer.metadata.response_code = ResponseCode::NXDomain,
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
        Some(answer)
    }
}
