//! The body of a request as git wrote it: unpacked where it came compressed, and counted. A piece
//! at a time is in memory, never the whole.

use std::io::{self, Write as _};

use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::{HeaderMap, header};
use flate2::write::GzDecoder;
use tokio_stream::StreamExt as _;

use crate::problem::{Kind, Problem};

/// How much of a compressed body is unpacked at once: at most a thousand times as much comes out.
const SLICE: usize = 1 << 10;

/// A body that is read piece by piece.
pub(super) struct RequestBody {
    stream: BodyDataStream,
    gzip: Option<Unpacking>,
    limit: u64,
    came: u64,
    read: u64,
}

struct Unpacking {
    decoder: GzDecoder<Vec<u8>>,
    packed: Bytes,
}

/// Why a body could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the request is over the limit of {0} bytes")]
    TooLarge(u64),
    #[error("the request broke off")]
    BrokenOff(#[source] axum::Error),
    #[error("the request is not compressed as it says")]
    BadGzip(#[source] io::Error),
}

impl RequestBody {
    /// The body of a request with these headers, of at most `limit` bytes, packed and unpacked.
    pub(super) fn new(headers: &HeaderMap, body: Body, limit: u64) -> Result<Self, Problem> {
        let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
        let encoding = encodings.next().map(|value| value.to_str().unwrap_or("?"));
        let gzip = match (encoding, encodings.next()) {
            (None | Some("identity"), None) => None,
            (Some("gzip" | "x-gzip"), None) => {
                let decoder = GzDecoder::new(Vec::new());
                Some(Unpacking { decoder, packed: Bytes::new() })
            }
            _ => {
                let detail = "a request of git is compressed with gzip, or not at all";
                return Err(Problem::new(Kind::UnsupportedMediaType, detail));
            }
        };
        Ok(Self { stream: body.into_data_stream(), gzip, limit, came: 0, read: 0 })
    }

    /// The next piece; nothing at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        let piece = match &mut self.gzip {
            None => arrive(&mut self.stream, &mut self.came, self.limit).await?,
            Some(gzip) => loop {
                if gzip.packed.is_empty() {
                    match arrive(&mut self.stream, &mut self.came, self.limit).await? {
                        Some(packed) => gzip.packed = packed,
                        None => break gzip.finish()?,
                    }
                }
                let piece = gzip.step()?;
                if !piece.is_empty() {
                    break Some(piece);
                }
            },
        };
        self.read += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        if self.read > self.limit {
            return Err(BodyError::TooLarge(self.limit));
        }
        Ok(piece)
    }

    /// Reads on and drops what comes, at most `most` bytes.
    pub(super) async fn drop_rest(&mut self, most: u64) {
        let end = self.came.saturating_add(most);
        while let Ok(Some(_)) = arrive(&mut self.stream, &mut self.came, end).await {}
    }

    /// How many bytes git was given.
    pub(super) fn read(&self) -> u64 {
        self.read
    }
}

async fn arrive(
    stream: &mut BodyDataStream,
    came: &mut u64,
    limit: u64,
) -> Result<Option<Bytes>, BodyError> {
    let Some(piece) = stream.next().await else { return Ok(None) };
    let piece = piece.map_err(BodyError::BrokenOff)?;
    *came += piece.len() as u64;
    if *came > limit {
        return Err(BodyError::TooLarge(limit));
    }
    Ok(Some(piece))
}

impl Unpacking {
    /// Unpacks a little of what is there.
    fn step(&mut self) -> Result<Bytes, BodyError> {
        let slice = self.packed.slice(..self.packed.len().min(SLICE));
        let taken = self.decoder.write(&slice).map_err(BodyError::BadGzip)?;
        if taken == 0 {
            let more = io::Error::new(io::ErrorKind::InvalidData, "more follows its end");
            return Err(BodyError::BadGzip(more));
        }
        self.packed = self.packed.slice(taken..);
        Ok(self.unpacked())
    }

    fn finish(&mut self) -> Result<Option<Bytes>, BodyError> {
        // An error when the end is missing, or the sum is wrong.
        self.decoder.try_finish().map_err(BodyError::BadGzip)?;
        Ok(Some(self.unpacked()).filter(|rest| !rest.is_empty()))
    }

    fn unpacked(&mut self) -> Bytes {
        std::mem::take(self.decoder.get_mut()).into()
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    async fn read(
        encoding: Option<&'static str>,
        body: &[u8],
        limit: u64,
    ) -> Result<Vec<u8>, BodyError> {
        let mut headers = HeaderMap::new();
        if let Some(encoding) = encoding {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        // Pieces of odd sizes, as a network makes them.
        let pieces: Vec<_> = body
            .chunks(777)
            .map(|piece| Ok::<_, io::Error>(Bytes::copy_from_slice(piece)))
            .collect();
        let body = Body::from_stream(tokio_stream::iter(pieces));
        let mut body = RequestBody::new(&headers, body, limit).unwrap();
        let mut whole = Vec::new();
        while let Some(piece) = body.next().await? {
            assert!(piece.len() <= SLICE * 1100, "{}", piece.len());
            whole.extend_from_slice(&piece);
        }
        assert_eq!(body.read(), whole.len() as u64);
        Ok(whole)
    }

    #[tokio::test]
    async fn what_was_sent_is_read() {
        let text = b"0032want 0123456789012345678901234567890123456789\n".repeat(200);
        assert_eq!(read(None, &text, 1 << 20).await.unwrap(), text);
        assert_eq!(read(Some("gzip"), &packed(&text), 1 << 20).await.unwrap(), text);
        assert_eq!(read(Some("x-gzip"), &packed(b""), 1 << 20).await.unwrap(), b"");
    }

    #[tokio::test]
    async fn what_is_too_much_is_not_unpacked() {
        let zeros = vec![0; 8 << 20];
        for (encoding, body) in [(None, zeros.clone()), (Some("gzip"), packed(&zeros))] {
            let refused = read(encoding, &body, 1 << 20).await;
            assert!(matches!(refused, Err(BodyError::TooLarge(_))), "{encoding:?} {refused:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_gzip_is_refused() {
        let whole = packed(b"0000");
        let more = [&*whole, b"0000"].concat();
        let mut wrong_sum = whole.clone();
        let end = wrong_sum.len() - 5;
        wrong_sum[end] ^= 1;
        for body in [b"0000".as_slice(), &whole[..whole.len() - 3], &more, &wrong_sum] {
            let refused = read(Some("gzip"), body, 1 << 20).await;
            assert!(matches!(refused, Err(BodyError::BadGzip(_))), "{body:?} {refused:?}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
        assert!(RequestBody::new(&headers, Body::empty(), 1).is_err());
    }
}
