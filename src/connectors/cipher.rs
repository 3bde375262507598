//! Bodies that come encrypted: AES-256 in CBC mode, as the messengers do it. What a key opened is not proved by it; that is the signature's.

use aes::{
    Aes256,
    cipher::{BlockDecryptMut as _, KeyIvInit as _, block_padding::NoPadding},
};
use minijinja::{Environment, Error, value::Value};

use super::{sign::bytes, words::said_by_us};

const BLOCK: usize = 16;
/// Some pad to 32 bytes, whatever the cipher's block is.
const PADDING: u8 = 32;

/// `from_aes_cbc(key)`: what 32 bytes of key open; the first 16 bytes are where it begins (the IV), unless they are told: `from_aes_cbc(key, iv)`. `framed(receiver)`: the text between 16 random
/// bytes, its length, and who it is for.
pub fn filters(env: &mut Environment<'static>) {
    env.add_filter("from_aes_cbc", |value: Value, key: Value, iv: Option<Value>| -> Result<Value, Error> {
        let (value, key) = (bytes(&value)?, bytes(&key)?);
        let iv = iv.map(|iv| bytes(&iv)).transpose()?;
        let (iv, closed) = match &iv {
            Some(iv) => (&iv[..], &value[..]),
            None => value.split_at_checked(BLOCK).ok_or_else(closed)?,
        };
        opened(&key, iv, closed).map(Value::from_bytes).ok_or_else(self::closed)
    });
    env.add_filter("framed", |value: Value, receiver: String| -> Result<String, Error> {
        let wrong = || said_by_us("this is no message for that receiver".to_owned());
        framed(&bytes(&value)?, receiver.as_bytes()).ok_or_else(wrong)
    });
}

fn closed() -> Error {
    said_by_us("the key does not open it".to_owned())
}

fn opened(key: &[u8], iv: &[u8], closed: &[u8]) -> Option<Vec<u8>> {
    let cipher = cbc::Decryptor::<Aes256>::new_from_slices(key, iv).ok()?;
    let mut open = cipher.decrypt_padded_vec_mut::<NoPadding>(closed).ok()?;
    let padding = open.last().copied().filter(|n| (1..=PADDING).contains(n))?;
    let rest = open.len().checked_sub(usize::from(padding))?;
    if open.get(rest..)?.iter().any(|byte| *byte != padding) {
        return None;
    }
    open.truncate(rest);
    Some(open)
}

fn framed(value: &[u8], receiver: &[u8]) -> Option<String> {
    let (_, rest) = value.split_at_checked(16)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (text, whose) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    (whose == receiver).then(|| String::from_utf8(text.to_vec()).ok())?
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::{super::sign::from_base64, *};

    fn of(text: &str) -> Vec<u8> {
        from_base64(text.as_bytes()).unwrap()
    }

    /// The vector of Feishu's documents.
    #[test]
    fn what_feishu_closed_is_opened() {
        let (key, closed) = (Sha256::digest("test key"), of("P37w+VZImNgPEO1RBhJ6RtKl7n6zymIbEG1pReEzghk="));
        let (iv, rest) = closed.split_at(BLOCK);
        assert_eq!(opened(&key, iv, rest).as_deref(), Some(&b"hello world"[..]));
        assert_eq!(opened(&Sha256::digest("other key"), iv, rest), None);
        for wrong in [&rest[..15], &[], &rest[1..]] {
            assert_eq!(opened(&key, iv, wrong), None);
        }
        assert_eq!(opened(&key[..31], iv, rest), None);
    }

    /// The vector of WeCom's samples.
    #[test]
    fn what_wecom_framed_is_read_by_who_it_is_for() {
        let key = of("jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C");
        let closed = of("P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ==");
        let open = opened(&key, &key[..BLOCK], &closed).unwrap();
        assert_eq!(framed(&open, b"wx5823bf96d3bd56c7").as_deref(), Some("1616140317555161061"));
        assert_eq!(framed(&open, b"wx5823bf96d3bd56c8"), None);
        for short in 0..open.len() {
            assert_eq!(framed(&open[..short], b"wx5823bf96d3bd56c7"), None, "{short}");
        }
        assert_eq!(framed(&[0xff; 40], b""), None);
    }
}
