//! Messages of HTTP/1.1 read by the letter of RFC 9112: what is not well-formed is an error and never
//! guessed at.

/// A whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// The first line without its end.
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// What comes of the bytes that are there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// A message, and how many bytes it took.
    Whole(Message, usize),
    /// More must come.
    Part,
}

/// How a message without a length ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unframed {
    /// With its header, as requests do and answers without content.
    Empty,
    /// With the connection.
    Close,
    /// With its header, whatever that says: answers to HEAD, 204 and 304.
    Header,
}

impl Message {
    pub(crate) fn all<'m>(&'m self, name: &'m str) -> impl Iterator<Item = &'m str> {
        self.fields.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The status of an answer.
    pub(crate) fn status(&self) -> u16 {
        self.line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).unwrap().parse().unwrap()
    }
}

fn is_token(text: &str) -> bool {
    let others = "!#$%&'*+-.^_`|~";
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

/// A line up to its CRLF; nothing when that has not come.
fn line(bytes: &[u8]) -> Result<Option<(&str, &[u8])>, String> {
    let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else { return Ok(None) };
    let (line, rest) = (&bytes[..end], &bytes[end + 2..]);
    if let Some(byte) = line.iter().find(|byte| byte.is_ascii_control() && **byte != b'\t') {
        return Err(format!("byte {byte} in a line: {}", line.escape_ascii()));
    }
    let line = std::str::from_utf8(line).map_err(|error| error.to_string())?;
    Ok(Some((line, rest)))
}

/// Reads a message. `is_over`: nothing comes any more.
pub(crate) fn read(bytes: &[u8], unframed: Unframed, is_over: bool) -> Result<Read, String> {
    let Some((first, mut rest)) = line(bytes)? else { return Ok(Read::Part) };
    let mut fields = Vec::new();
    loop {
        let Some((field, after)) = line(rest)? else { return Ok(Read::Part) };
        rest = after;
        if field.is_empty() {
            break;
        }
        let (name, value) = field.split_once(':').ok_or_else(|| format!("no colon: {field:?}"))?;
        if !is_token(name) {
            return Err(format!("no name: {field:?}"));
        }
        fields.push((name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()));
    }
    let mut message = Message { line: first.to_owned(), fields, body: Vec::new() };
    let lengths: Vec<&str> = message.all("content-length").collect();
    let codings: Vec<&str> = message.all("transfer-encoding").collect();
    match (&lengths[..], &codings[..]) {
        _ if unframed == Unframed::Header => {}
        ([], []) if unframed == Unframed::Empty => {}
        ([], []) if is_over => {
            message.body = rest.to_vec();
            rest = &[];
        }
        ([], []) => return Ok(Read::Part),
        ([length], []) if length.bytes().all(|byte| byte.is_ascii_digit()) => {
            let length: usize = length.parse().map_err(|error| format!("{length:?}: {error}"))?;
            let Some(body) = rest.get(..length) else { return Ok(Read::Part) };
            message.body = body.to_vec();
            rest = &rest[length..];
        }
        ([], ["chunked"]) => match chunks(rest)? {
            Some((body, after)) => {
                message.body = body;
                rest = after;
            }
            None => return Ok(Read::Part),
        },
        (lengths, codings) => return Err(format!("framed by {lengths:?} and {codings:?}")),
    }
    let taken = bytes.len() - rest.len();
    Ok(Read::Whole(message, taken))
}

/// A body, and what stands behind it.
type Body<'b> = (Vec<u8>, &'b [u8]);

/// Chunks without extensions, and no trailers behind them.
fn chunks(mut rest: &[u8]) -> Result<Option<Body<'_>>, String> {
    let mut body = Vec::new();
    loop {
        let Some((size, after)) = line(rest)? else { return Ok(None) };
        if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(format!("the size of a chunk is {size:?}"));
        }
        let size = usize::from_str_radix(size, 16).map_err(|error| error.to_string())?;
        let Some(data) = after.get(..size + 2) else { return Ok(None) };
        if &data[size..] != b"\r\n" {
            return Err(format!("a chunk ends with {}", data[size..].escape_ascii()));
        }
        rest = &after[size + 2..];
        if size == 0 {
            return Ok(Some((body, rest)));
        }
        body.extend_from_slice(&data[..size]);
    }
}

/// What a request asks for: `METHOD TARGET HOST BODY`.
pub(crate) fn described(request: &Message) -> Result<String, String> {
    let words: Vec<&str> = request.line.split(' ').collect();
    let [method, target, "HTTP/1.1"] = words[..] else {
        return Err(format!("a request line {:?}", request.line));
    };
    if !is_token(method)
        || !target.starts_with('/')
        || !target.bytes().all(|b| b.is_ascii_graphic())
    {
        return Err(format!("a request line {:?}", request.line));
    }
    let hosts: Vec<&str> = request.all("host").collect();
    let [host] = hosts[..] else { return Err(format!("hosts {hosts:?}")) };
    Ok(format!("{method} {target} {host} {}", request.text()))
}
