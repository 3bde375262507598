//! Signatures over requests: the words that compute them, and what they see.
//!
//! Vendors write theirs as formulas ("upper(md5(param + key + customer))"), and so does a file: an expression, with filters for digests, for encodings and for sorted pairs.
//! A digest is bytes until `hex` or `base64` makes it text, for half of the traps are which of the two, and in which order.

use std::{collections::BTreeMap, sync::LazyLock};

use base64::Engine as _;
use hmac::Hmac;
use md5::Md5;
use minijinja::{
    Environment, Error, ErrorKind,
    value::{Kwargs, Value, ValueKind},
};
use regex::Regex;
use serde_json::{Map, Value as Json};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::{private::Secret, words::percent};

use super::{
    charset, cipher,
    file::Method,
    set::Place,
    value::{from_json, to_json},
    words::{Compiled, said_by_us, text_of},
};

/// The names that a signature may use besides the variables and what each request has; `body` only where it does not stand in it.
pub const SEES: [&str; 6] = ["secret", "method", "address", "path", "query", "form"];

/// What every secret is where examples of a file are played.
pub const EXAMPLE_SECRET: &str = "(secret)";

/// How each request of a system is signed.
pub struct Sign {
    pub value: Compiled,
    pub place: Place,
    pub prefix: String,
    pub secrets: BTreeMap<String, Secret>,
    /// What of the formula is the text that is signed, for people.
    pub text: Option<Compiled>,
}

impl Sign {
    /// What [`SEES`] names. `url` is the whole address without a query of ours, `form` the body's structure, `body` what is sent of it: a text, or in another
    /// character set bytes.
    pub fn sees(
        &self,
        method: Method,
        url: &str,
        query: &Map<String, Json>,
        form: &Json,
        body: Option<&[u8]>,
    ) -> Vec<(&'static str, Value)> {
        let secrets = self.secrets.iter().map(|(name, secret)| (name.as_str(), Value::from(secret.expose())));
        let after_host = url.split_once("://").and_then(|(_, rest)| rest.find('/').and_then(|at| rest.get(at..)));
        let path = after_host.unwrap_or("/").split('?').next().unwrap_or("/");
        let form = if form.is_object() { from_json(form) } else { from_json(&Json::Object(Map::new())) };
        let body = body.unwrap_or_default();
        let body = std::str::from_utf8(body).map_or_else(|_| Value::from_bytes(body.to_vec()), Value::from);
        vec![
            ("secret", Value::from_pairs(secrets)),
            ("method", Value::from(method.as_str())),
            ("address", Value::from(url.split('?').next().unwrap_or(url))),
            ("path", Value::from(path)),
            ("query", Value::from_pairs(query.iter().map(|(k, v)| (k.as_str(), from_json(v))))),
            ("form", form),
            ("body", body),
        ]
    }

    /// The text that is signed, with [`EXAMPLE_SECRET`] in the place of secrets. `seen` is what [`Self::sees`] gave, and more.
    pub fn shown(
        &self,
        mut seen: Vec<(&'static str, Value)>,
        with: impl FnOnce(&[(&'static str, Value)]) -> Value,
    ) -> Option<String> {
        seen.retain(|(name, _)| *name != "secret");
        let names = self.secrets.keys().map(|name| (name.as_str(), Value::from(EXAMPLE_SECRET)));
        seen.push(("secret", Value::from_pairs(names)));
        self.text.as_ref()?.eval(&with(&seen)).ok().map(|text| text_of(&text))
    }

    /// The signature, as it is put in its place.
    ///
    /// # Errors
    /// Why there is none; no value is repeated.
    pub fn over(&self, context: &Value) -> Result<String, String> {
        let value = self.value.eval(context).map_err(|why| format!("the signature: {why}"))?;
        match value.kind() {
            ValueKind::String => {}
            ValueKind::Bytes => return Err("the signature is bytes: add \"| hex\" or \"| base64\"".to_owned()),
            _ => return Err("the signature is no text".to_owned()),
        }
        let text = format!("{}{}", self.prefix, text_of(&value));
        if text.chars().any(char::is_control) { Err("the signature is no one line".to_owned()) } else { Ok(text) }
    }
}

/// What of a formula is the text that is signed: `secret.key ~ body` of `(secret.key ~ body) | md5 | hex`. `None` where no such part stands at its beginning.
#[must_use]
pub fn text_in(formula: &str) -> Option<&str> {
    const SIGNS: [&str; 6] = ["md5", "sha1", "sha256", "hmac_sha1", "hmac_sha256", "bytes"];
    let (mut depth, mut quote, mut filtered) = (0_u32, None, false);
    for (at, c) in formula.char_indices() {
        match (quote, c) {
            (Some(open), _) => quote = quote.filter(|_| c != open),
            (None, '\'' | '"') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            // A filter binds closer: what stands before it is only the last part of a sum.
            (None, '~' | '+') if depth == 0 && !filtered => return None,
            (None, '|') if depth == 0 => {
                filtered = true;
                let (before, behind) = formula.split_at(at);
                let name =
                    behind.trim_start_matches(['|', ' ']).split(|c: char| !c.is_alphanumeric() && c != '_').next();
                if name.is_some_and(|name| SIGNS.contains(&name)) {
                    return Some(before.trim());
                }
            }
            _ => {}
        }
    }
    None
}

/// Whether a formula puts `body` itself, and not a digest of it, into a text by `~`. A filter binds closer than `~`.
#[must_use]
pub fn joins_body(formula: &str) -> bool {
    static JOINS: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\bbody\s*~|~\s*body\s*(?:$|[^\s|\w.])").expect("a pattern of ours that the tests compile")
    });
    JOINS.is_match(formula)
}

/// When a request is made, and what makes it unlike every other.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// Milliseconds since 1970.
    pub ms: i64,
    pub nonce: u128,
}

impl Stamp {
    /// That of the examples inside a file: 2026-01-01, and `0…01`.
    #[must_use]
    pub fn example() -> Self {
        Self { ms: 1_767_225_600_000, nonce: 1 }
    }

    /// The id of a call: a number that every server can hold.
    #[must_use]
    pub fn id(self) -> u32 {
        u32::try_from(self.nonce & 0x7fff_ffff).unwrap_or_default()
    }

    /// `now.s`, `now.ms` and `nonce`, 32 hex digits.
    #[must_use]
    pub fn values(self) -> Vec<(&'static str, Value)> {
        let now = [("s", Value::from(self.ms / 1000)), ("ms", Value::from(self.ms))];
        vec![("now", Value::from_pairs(now)), ("nonce", Value::from(format!("{:032x}", self.nonce)))]
    }
}

/// `bytes`: a text, or a list of texts and bytes one after another, as bytes; `bytes('gbk')` in that character set. `md5`, `sha1`, `sha256`, `hmac_sha1(key)`, `hmac_sha256(key)`: bytes of a text or of bytes. `hex`, `base64`: text of them. `pairs`: a map as sorted text.
pub fn filters(env: &mut Environment<'static>) {
    env.add_filter("md5", |value: Value| digest::<Md5>(&value));
    env.add_filter("sha1", |value: Value| digest::<Sha1>(&value));
    env.add_filter("sha256", |value: Value| digest::<Sha256>(&value));
    env.add_filter("hmac_sha1", |value: Value, key: Value| keyed::<Hmac<Sha1>>(&value, &key));
    env.add_filter("hmac_sha256", |value: Value, key: Value| keyed::<Hmac<Sha256>>(&value, &key));
    env.add_filter("hex", |value: Value| -> Result<String, Error> {
        Ok(bytes(&value)?.iter().map(|b| format!("{b:02x}")).collect())
    });
    env.add_filter("base64", |value: Value| -> Result<String, Error> {
        Ok(base64::engine::general_purpose::STANDARD.encode(bytes(&value)?))
    });
    env.add_filter("bytes", joined);
    env.add_filter("from_base64", |value: Value| -> Result<Value, Error> {
        let wrong = |_| Error::new(ErrorKind::InvalidOperation, "this is no base64");
        from_base64(&bytes(&value)?).map(Value::from_bytes).map_err(wrong)
    });
    env.add_filter("pairs", pairs);
    cipher::filters(env);
}

/// WeCom's keys are 43 letters without the `=`, and the last one has bits that nothing is made of.
pub(super) fn from_base64(text: &[u8]) -> Result<Vec<u8>, base64::DecodeError> {
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    let lenient = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&base64::alphabet::STANDARD, lenient).decode(text)
}

fn joined(value: &Value, charset: Option<String>) -> Result<Value, Error> {
    let set = match charset {
        None => encoding_rs::UTF_8,
        Some(name) => encoding_rs::Encoding::for_label(name.as_bytes())
            .ok_or_else(|| said_by_us(format!("\"{name}\" is no character set")))?,
    };
    let parts = if value.kind() == ValueKind::Seq { value.try_iter()?.collect() } else { vec![value.clone()] };
    let mut all = Vec::new();
    for part in parts {
        match part.as_bytes().filter(|_| part.kind() == ValueKind::Bytes) {
            Some(bytes) => all.extend_from_slice(bytes),
            None if part.is_undefined() => return Err(Error::from(ErrorKind::UndefinedError)),
            None => all.extend(charset::encode(set, &text_of(&part)).map_err(said_by_us)?),
        }
    }
    Ok(Value::from_bytes(all))
}

/// A misspelt name must not sign as if it were empty.
pub(super) fn bytes(value: &Value) -> Result<Vec<u8>, Error> {
    match value.as_bytes() {
        Some(bytes) => Ok(bytes.to_vec()),
        None if value.is_undefined() => Err(Error::from(ErrorKind::UndefinedError)),
        None => Ok(text_of(value).into_bytes()),
    }
}

fn digest<D: Digest>(value: &Value) -> Result<Value, Error> {
    Ok(Value::from_bytes(D::digest(bytes(value)?).to_vec()))
}

fn keyed<M: hmac::Mac + hmac::digest::KeyInit>(value: &Value, key: &Value) -> Result<Value, Error> {
    let no_key = |_| said_by_us("this is no key".to_owned());
    let mac = <M as hmac::Mac>::new_from_slice(&bytes(key)?).map_err(no_key)?;
    Ok(Value::from_bytes(mac.chain_update(bytes(value)?).finalize().into_bytes().to_vec()))
}

/// A map's entries, sorted by the bytes of their names: `a=1&b=2`, not encoded. `equals=` and `between=` are what stands between; `empty=false` leaves out what has no
/// value, `without=['sign']` those of these names. `encoded=true` percent-encodes names and values before they are sorted. `lengths=[2, 4]` puts before each name and each value how many characters it has, with zeros to so many digits, and a hyphen. A
/// structure stands as its JSON.
fn pairs(map: &Value, options: Kwargs) -> Result<String, Error> {
    if map.kind() != ValueKind::Map {
        return Err(said_by_us("pairs wants a map".to_owned()));
    }
    let equals: Option<String> = options.get("equals")?;
    let between: Option<String> = options.get("between")?;
    let empty: Option<bool> = options.get("empty")?;
    let without: Option<Vec<String>> = options.get("without")?;
    let lengths: Option<Vec<usize>> = options.get("lengths")?;
    let encoded = options.get::<Option<bool>>("encoded")? == Some(true);
    options.assert_all_used()?;
    let mut sorted = BTreeMap::new();
    for name in map.try_iter()? {
        let value = map.get_item(&name)?;
        let text = match value.kind() {
            ValueKind::Map | ValueKind::Seq => {
                let json = to_json(&value).map_err(said_by_us)?;
                json.unwrap_or_default().to_string()
            }
            ValueKind::Bool => value.is_true().to_string(),
            _ => text_of(&value),
        };
        let name = text_of(&name);
        if (empty != Some(false) || !text.is_empty()) && !without.as_ref().is_some_and(|names| names.contains(&name)) {
            // OAuth 1.0 sorts what is encoded (RFC 5849, section 3.4.1.3.2).
            let (name, text) = if encoded { (percent(&name), percent(&text)) } else { (name, text) };
            sorted.insert(name, text);
        }
    }
    let (of_name, of_value) = match lengths.as_deref() {
        None => (None, None),
        Some([name @ 1..=9, value @ 1..=9]) => (Some(*name), Some(*value)),
        Some(_) => return Err(said_by_us("lengths wants two numbers of digits".to_owned())),
    };
    let counted = |text: String, digits: Option<usize>| match digits {
        Some(digits) => format!("{:0digits$}-{text}", text.chars().count()),
        None => text,
    };
    let equals = equals.unwrap_or_else(|| "=".to_owned());
    let pair = |(name, value)| format!("{}{equals}{}", counted(name, of_name), counted(value, of_value));
    let all: Vec<String> = sorted.into_iter().map(pair).collect();
    Ok(all.join(between.as_deref().unwrap_or("&")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Evaluates a formula over what a request could have.
    fn eval(formula: &str) -> Result<String, String> {
        let json: Json = serde_json::from_str(
            r#"{"secret": {"key": "s3cret", "jefe": "Jefe", "id": "app-1"}, "nonce": "n-1", "now": {"s": 1599360473, "ms": 1599360473123},
            "method": "POST", "path": "/v2/bill", "text": "what do ya want for nothing?", "param": "{\"com\":\"yto\"}",
            "form": {"b": "2", "a": "1", "A": "甲", "none": "", "sign": "x", "n": 3, "yes": true, "list": [1, {"k": "v"}]}}"#,
        )
        .unwrap();
        Compiled::new(formula)?.eval(&from_json(&json)).map(|v| v.to_string())
    }

    #[test]
    fn digests_are_those_of_the_standards() {
        for (formula, wanted) in [
            // RFC 1321 A.5, FIPS 180-4's "abc", RFC 2202 and RFC 4231, test case 2.
            ("'abc' | md5 | hex", "900150983cd24fb0d6963f7d28e17f72"),
            ("'abc' | sha1 | hex", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            ("'abc' | sha256 | hex", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            ("text | hmac_sha1(secret.jefe) | hex", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            (
                "text | hmac_sha256(secret.jefe) | hex",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
        ] {
            assert_eq!(eval(formula).as_deref(), Ok(wanted), "{formula}");
        }
    }

    #[test]
    fn pairs_are_sorted_by_bytes_and_leave_out_what_they_are_told_to() {
        for (formula, wanted) in [
            ("form | pairs", r#"A=甲&a=1&b=2&list=[1,{"k":"v"}]&n=3&none=&sign=x&yes=true"#),
            ("form | pairs(equals='', between='', empty=false, without=['sign', 'list'])", "A甲a1b2n3yestrue"),
        ] {
            assert_eq!(eval(formula).as_deref(), Ok(wanted), "{formula}");
        }
        assert!(eval("form | pairs(equal='')").is_err());
        assert!(eval("form | pairs(lengths=[2])").is_err());
        assert!(eval("text | pairs").is_err());
    }

    /// The traps of vendors, each against Python's hashlib and hmac.
    #[test]
    fn the_formulas_of_vendors_give_what_another_library_gives() {
        for (vendor, formula, wanted) in [
            ("Kuaidi100: upper case", "(param ~ secret.key ~ secret.id) | md5 | hex | upper", KUAIDI),
            ("Jushuitan: secret first", JUSHUITAN_FORMULA, JUSHUITAN),
            (
                "Kingdee: hex, then base64",
                "(secret.id ~ 'acct,user,2052,1') | hmac_sha256(secret.key) | hex | base64",
                KINGDEE,
            ),
            (
                "DingTalk: the key is in the text too",
                "(now.ms ~ '\n' ~ secret.key) | hmac_sha256(secret.key) | base64",
                DINGTALK,
            ),
            (
                "Feishu: the text is the key, and nothing is signed",
                "'' | hmac_sha256(now.s ~ '\n' ~ secret.key) | base64",
                FEISHU,
            ),
            ("YonBIP: names and values, nothing between", YONBIP_FORMULA, YONBIP),
        ] {
            assert_eq!(eval(formula).as_deref(), Ok(wanted), "{vendor}");
        }
    }

    /// The example of RFC 5849, section 1.2, and the encoding of section 3.6.
    #[test]
    fn oauth_1_signs_as_its_rfc_does() {
        let json: Json = serde_json::from_str(
            r#"{"secret": {"consumer": "kd94hf93k423kf44", "token": "pfkkdhi9sl3r4s00"}, "nonce": "chapoH", "now": {"s": 137131202},
            "method": "GET", "address": "http://photos.example.net/photos", "query": {"size": "original", "file": "vacation.jpg"},
            "consumer": "dpf43f3p2l4k3l03", "token": "nnch734d00sl2jdk"}"#,
        )
        .unwrap();
        let signed = |text: &str| Compiled::new(text).unwrap().eval(&from_json(&json)).map(|v| v.to_string());
        let base = "method ~ '&' ~ (address | urlencode) ~ '&' ~ (dict(query, oauth_consumer_key=consumer, oauth_nonce=nonce, oauth_signature_method='HMAC-SHA1', \
            oauth_timestamp=now.s, oauth_token=token) | pairs(encoded=true) | urlencode)";
        assert_eq!(
            signed(base).as_deref(),
            Ok(
                "GET&http%3A%2F%2Fphotos.example.net%2Fphotos&file%3Dvacation.jpg%26oauth_consumer_key%3Ddpf43f3p2l4k3l03%26oauth_nonce%3DchapoH%26\
                oauth_signature_method%3DHMAC-SHA1%26oauth_timestamp%3D137131202%26oauth_token%3Dnnch734d00sl2jdk%26size%3Doriginal"
            )
        );
        let formula = format!(
            "({base}) | hmac_sha1((secret.consumer | urlencode) ~ '&' ~ (secret.token | urlencode)) | base64 | urlencode"
        );
        assert_eq!(signed(&formula).as_deref(), Ok("MdpQcU8iPSUjWoN%2FUDMsK2sui9I%3D"));
        assert_eq!(
            signed("dict(c2='', b5='=%3D', a3='2 q') | pairs(encoded=true)").as_deref(),
            Ok("a3=2%20q&b5=%3D%253D&c2=")
        );
    }

    /// Wangdiantong's own example (open.wangdian.cn, 签名算法), and its client for PHP on lengths: `iconv_strlen($val, 'UTF-8')`, which counts characters.
    #[test]
    fn lengths_stand_before_names_and_values_as_wangdiantong_has_them() {
        let form = "dict(appkey='test2-xx', page_no='0', end_time='2016-08-01 13:00:00', start_time='2016-08-01 12:00:00', page_size='40', sid='test2', timestamp='1470042310')";
        let packed = format!("{form} | pairs(equals=':', between=';', lengths=[2, 4], without=['sign'])");
        assert_eq!(
            eval(&packed).as_deref(),
            Ok(
                "06-appkey:0008-test2-xx;08-end_time:0019-2016-08-01 13:00:00;07-page_no:0001-0;09-page_size:0002-40;03-sid:0005-test2;\
            10-start_time:0019-2016-08-01 12:00:00;09-timestamp:0010-1470042310"
            )
        );
        assert_eq!(
            eval(&format!("(({packed}) ~ '12345') | md5 | hex")).as_deref(),
            Ok("ad4e6fe037ea6e3ba4768317be9d1309")
        );
        assert_eq!(eval("dict(name='陈静') | pairs(equals=':', lengths=[2, 4])").as_deref(), Ok("04-name:0002-陈静"));
    }

    #[test]
    fn bytes_of_another_character_set_are_signed_as_they_are() {
        // With Python's hashlib: md5("s3cret中".encode("gbk")).
        for formula in [
            "(secret.key ~ '中') | bytes('gbk') | md5 | hex",
            "[secret.key, '中' | bytes('gbk')] | bytes | md5 | hex",
            "['s3', 'cret' | bytes, '中'] | bytes('gb2312') | md5 | hex",
        ] {
            assert_eq!(eval(formula).as_deref(), Ok("bff9fceb21c95615957689c946a3ccf8"), "{formula}");
        }
        assert!(eval("'中' | bytes('gbq') | md5 | hex").unwrap_err().contains("no character set"));
        assert!(eval("'\u{20BB7}' | bytes('gbk') | md5 | hex").unwrap_err().contains("GBK does not have"));
        assert!(eval("[secret.other] | bytes | md5 | hex").is_err());
    }

    const KUAIDI: &str = "B582F86C7E8ADCCEBE32ECF970A50679";
    const JUSHUITAN: &str = "7f7635d1811d09b2f0577954a3262d48";
    const KINGDEE: &str = "NjQzZmVlYjE4N2Y4NThjMDI2NGFkMDM5NWFhNzgwOWExNjc4MGY1OWQ2YmQwZTgwYTE4OTgwZmM4MWZhNGYxNw==";
    const DINGTALK: &str = "W8HAG2UjX70i7gLiuMNoZSOjsP7JcVUoFQBaBtyfP2Q=";
    const FEISHU: &str = "QQHOl6fWr0/7EF26jw8goDL6Cc0vHLHZYLDituMJB4s=";
    const YONBIP: &str = "ogE55Ibn3XxlVrhVdVQbpN2iCSq6iFNmVAXbjqbnXgw=";
    const JUSHUITAN_FORMULA: &str =
        "(secret.key ~ (form | pairs(equals='', between='', empty=false, without=['sign', 'list']))) | md5 | hex";
    const YONBIP_FORMULA: &str =
        "(dict(timestamp=now.ms, appKey=secret.id) | pairs(equals='', between='')) | hmac_sha256(secret.key) | base64";

    #[test]
    fn a_body_that_is_joined_to_a_text_is_seen() {
        for joins in [
            "(secret.key ~ body) | md5 | hex",
            "body~secret.key",
            "(method ~ path ~ query.t ~ body ) | md5",
            "secret.key ~ body",
        ] {
            assert!(joins_body(joins), "{joins}");
        }
        for not in [
            "body | md5 | hex",
            "method ~ (body | md5 | hex)",
            "method ~ body | md5 | hex",
            "[secret.key, body] | bytes | md5 | hex",
            "a ~ form.body",
        ] {
            assert!(!joins_body(not), "{not}");
        }
    }

    #[test]
    fn the_text_that_is_signed_is_found() {
        for (formula, wanted) in [
            ("(secret.key ~ body) | md5 | hex", Some("(secret.key ~ body)")),
            (
                "dict(a=now.ms) | pairs(equals='|md5') | hmac_sha256(secret.key) | base64",
                Some("dict(a=now.ms) | pairs(equals='|md5')"),
            ),
            ("[secret.key, body] | bytes | md5 | hex", Some("[secret.key, body]")),
            ("body | md5 | hex | upper", Some("body")),
            ("method ~ body | md5 | hex", None),
            ("secret.key ~ body", None),
        ] {
            assert_eq!(text_in(formula), wanted, "{formula}");
        }
    }

    #[test]
    fn a_signature_is_one_line_of_text() {
        let sign = |formula: &str| {
            let sign = Sign {
                value: Compiled::new(formula).unwrap(),
                place: Place::Header("X-Sign".to_owned()),
                prefix: "v1=".to_owned(),
                secrets: BTreeMap::from([("key".to_owned(), Secret::new("s3cret".to_owned()))]),
                text: None,
            };
            let seen = sign.sees(Method::Get, "https://h.example/a/b?x=1", &Map::new(), &Json::Null, Some(b"{}"));
            sign.over(&Value::from_pairs(seen))
        };
        assert_eq!(sign("method ~ path ~ body").as_deref(), Ok("v1=GET/a/b{}"));
        assert!(sign("body | md5").unwrap_err().contains("| hex"));
        assert!(sign("secret").is_err());
        assert!(sign("'a' ~ '\n'").is_err());
        for misspelt in ["secret.other | md5 | hex", "body | hmac_sha256(secret.other) | hex", "body ~ secret.other"] {
            let wrong = sign(misspelt).unwrap_err();
            assert!(wrong.contains("undefined"), "{misspelt}: {wrong}");
        }
    }
}
