//! Which compressed forms a client takes.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT_ENCODING;

/// What a request says of compressed answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) brotli: bool,
    pub(crate) gzip: bool,
}

impl Accepted {
    /// Nothing is taken that is not named.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(ACCEPT_ENCODING).iter();
        let codings = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        let taken: Vec<&str> = codings.filter_map(taken).collect();
        let takes = |name: &str| taken.iter().any(|coding| coding.eq_ignore_ascii_case(name));
        Self {
            brotli: takes("br"),
            gzip: takes("gzip"),
        }
    }
}

/// The name of a coding, unless its weight is zero.
fn taken(coding: &str) -> Option<&str> {
    let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
    let weight = weight
        .trim()
        .strip_prefix("q=")
        .and_then(|weight| weight.parse::<f32>().ok());
    weight.filter(|weight| *weight > 0.0).map(|_| name.trim())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_coding_is_taken_if_it_is_named_and_not_refused() {
        for (value, brotli, gzip) in [
            ("gzip, deflate, br, zstd", true, true),
            ("GZIP;q=0.5,br;q=0", false, true),
            ("br; q=0.0, gzip; q=0.001", false, true),
            ("identity", false, false),
            ("*", false, false),
            ("brotli, gzipped, gzip;q=x", false, false),
            ("", false, false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(value));
            assert_eq!(Accepted::of(&headers), Accepted { brotli, gzip }, "{value}");
        }
        assert_eq!(Accepted::of(&HeaderMap::new()), Accepted::default());
    }
}
