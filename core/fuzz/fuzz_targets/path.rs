//! A line with a path pattern and a line with a request path: normal forms and matching.

#![no_main]

use libfuzzer_sys::fuzz_target;
use refgate_core::document::EncodedSlashes;
use refgate_core::path::{is_normal, normalise};
use refgate_core::pattern::PathPattern;

fuzz_target!(|text: &str| {
    let (pattern, path) = text.split_once('\n').unwrap_or((text, text));
    for slashes in [EncodedSlashes::Reject, EncodedSlashes::Keep] {
        if let Ok(normal) = normalise(path, slashes) {
            assert_eq!(normalise(&normal, slashes).as_deref(), Ok(&*normal), "normal is normal");
            assert!(is_normal(&normal));
        }
    }
    let Ok(pattern) = pattern.parse::<PathPattern>() else { return };
    assert_eq!(pattern.as_str().parse::<PathPattern>().as_ref(), Ok(&pattern));
    let plain = pattern.tokens().is_some() && pattern.parameters().is_empty();
    if let Some(prefix) = pattern.as_str().strip_suffix('*').filter(|_| plain) {
        assert_eq!(pattern.matches(path), path.starts_with(prefix));
    } else if plain {
        assert_eq!(pattern.matches(path), path == pattern.as_str());
    } else {
        pattern.matches(path);
    }
    if path.strip_prefix("/api").is_some_and(|rest| pattern.matches(rest)) {
        assert!(pattern.below("/api").iter().any(|below| below.matches(path)));
    }
});
