//! Numbers and addresses as text, added to bytes: what every request writes, without the machinery
//! of formatting, which costs ten times as much.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

/// The number in decimal.
pub(crate) fn push_number(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// The number with zeros before it, so that it has three digits. Larger ones lose what is before.
pub(crate) fn push_thousandths(out: &mut Vec<u8>, number: u32) {
    let digit = |at: u32| b'0' + u8::try_from(number / at % 10).unwrap_or_default();
    out.extend_from_slice(&[digit(100), digit(10), digit(1)]);
}

/// The address as it is usually written.
pub(crate) fn push_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let [first, rest @ ..] = address.octets();
            push_number(out, first);
            for octet in rest {
                out.push(b'.');
                push_number(out, octet);
            }
        }
        // Writing to a vector does not fail.
        IpAddr::V6(address) => drop(write!(out, "{address}")),
    }
}

/// Address and port, `192.0.2.1:80` or `[2001:db8::1]:80`.
pub(crate) fn push_socket(out: &mut Vec<u8>, address: SocketAddr) {
    match address {
        SocketAddr::V4(address) => {
            push_address(out, IpAddr::V4(*address.ip()));
            out.push(b':');
            push_number(out, address.port());
        }
        SocketAddr::V6(address) => drop(write!(out, "{address}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        push(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn texts_are_those_of_the_standard_library() {
        for address in ["0.0.0.0", "192.0.2.17", "255.255.255.255", "::", "2001:db8::1"] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(text(|out| push_address(out, address)), address.to_string());
            for port in [0, 80, u16::MAX] {
                let socket = SocketAddr::new(address, port);
                assert_eq!(text(|out| push_socket(out, socket)), socket.to_string());
            }
        }
        for number in [0, 1, u64::MAX] {
            assert_eq!(text(|out| push_number(out, number)), number.to_string());
        }
        for number in [0, 7, 42, 999] {
            assert_eq!(text(|out| push_thousandths(out, number)), format!("{number:03}"));
        }
    }
}
