//! A store on a Redis server.
//!
//! Each operation but the list of keys is one command or one script, so it is atomic. A script checks the size of values
//! before the server sends them. The scripts need a user who may run `EVAL`, and a server that is not a cluster.

mod link;

use std::collections::BTreeSet;
use std::time::Duration;

use ::redis::{Cmd, Value, cmd};
use bytes::Bytes;
use tokio::time::Instant;

use self::link::Link;
use super::error::Problem;
use super::limits::{Limits, MAX_KEY_BYTES, MAX_PAGE_KEYS};
use super::store::{KeyPage, Swap};

/// Reads KEYS, each of at most ARGV[1] bytes and all together of at most ARGV[2].
const READ: &str = "local sum = 0
for _, key in ipairs(KEYS) do
  local size = redis.call('STRLEN', key)
  if size > tonumber(ARGV[1]) then return {1, size} end
  sum = sum + size
end
if sum > tonumber(ARGV[2]) then return {2, sum} end
return {0, redis.call('MGET', unpack(KEYS))}";

/// Sets KEYS[1] to ARGV[4] if it is ARGV[3] now, or absent if ARGV[2] is 0. Otherwise returns its value, of at most
/// ARGV[1] bytes.
const SWAP: &str = "local now = redis.call('GET', KEYS[1])
local same = not now
if ARGV[2] == '1' then same = now == ARGV[3] end
if same then
  redis.call('SET', KEYS[1], ARGV[4])
  return {3}
end
if now and #now > tonumber(ARGV[1]) then return {1, #now} end
return {0, {now}}";

/// The keys that the server looks at for one answer.
const SCAN_COUNT: usize = 500;

/// The most answers for one page, which bounds the time of a page on a server with many other keys.
const SCAN_ROUNDS: usize = 20;

pub(crate) struct RedisStore {
    link: Link,
    prefix: String,
    limits: Limits,
}

impl RedisStore {
    pub(crate) fn new(url: &str, prefix: &str, limits: Limits, timeout: Duration) -> Result<Self, Problem> {
        Ok(Self { link: Link::new(url, timeout)?, prefix: prefix.to_owned(), limits })
    }

    pub(crate) async fn get(&self, key: &str) -> Result<Option<Bytes>, Problem> {
        let mut values = self.get_many(vec![key.to_owned()]).await?;
        values.pop().ok_or_else(|| self.link.unexpected())
    }

    pub(crate) async fn set(&self, key: &str, value: Vec<u8>) -> Result<(), Problem> {
        self.link.write(cmd("SET").arg(self.full(key)).arg(value)).await.map(drop)
    }

    pub(crate) async fn delete(&self, key: &str) -> Result<(), Problem> {
        self.link.write(cmd("DEL").arg(self.full(key))).await.map(drop)
    }

    pub(crate) async fn exists(&self, key: &str) -> Result<bool, Problem> {
        match self.link.read(cmd("EXISTS").arg(self.full(key)), self.link.deadline()).await? {
            Value::Int(count) => Ok(count > 0),
            _ => Err(self.link.unexpected()),
        }
    }

    /// Returns one page. A cursor is that of the server, and `+n` after it if the page before ended within an answer,
    /// after `n` of its keys.
    pub(crate) async fn keys(&self, cursor: Option<&str>) -> Result<KeyPage, Problem> {
        let (mut at, mut skip) = parse_cursor(cursor.unwrap_or("0"))?;
        let deadline = self.link.deadline();
        let mut keys = BTreeSet::new();
        let mut cursor = None;
        for _ in 0..SCAN_ROUNDS {
            let (next, found) = self.scan(&at, deadline).await?;
            let room = MAX_PAGE_KEYS.saturating_sub(keys.len());
            keys.extend(found.iter().skip(skip).take(room).filter_map(|key| self.own(key)));
            if found.len().saturating_sub(skip) > room {
                cursor = Some(format!("{at}+{}", skip.saturating_add(room)));
                break;
            }
            skip = 0;
            cursor = (next != "0").then(|| next.clone());
            at = next;
            if cursor.is_none() || keys.len() >= MAX_PAGE_KEYS / 2 {
                break;
            }
        }
        Ok(KeyPage { keys: keys.into_iter().collect(), cursor })
    }

    pub(crate) async fn increment(&self, key: &str, delta: i64) -> Result<i64, Problem> {
        match self.link.write(cmd("INCRBY").arg(self.full(key)).arg(delta)).await? {
            Value::Int(sum) => Ok(sum),
            _ => Err(self.link.unexpected()),
        }
    }

    pub(crate) async fn compare_and_swap(
        &self,
        key: &str,
        expected: Option<Bytes>,
        value: Vec<u8>,
    ) -> Result<Swap, Problem> {
        let mut script = cmd("EVAL");
        script.arg(SWAP).arg(1).arg(self.full(key)).arg(self.limits.value);
        script.arg(u8::from(expected.is_some())).arg(expected.as_deref().unwrap_or_default()).arg(value);
        match self.answer(self.link.write(&script).await?)? {
            None => Ok(Swap::Done),
            Some(values) => {
                let current = values.into_iter().next().ok_or_else(|| self.link.unexpected())?;
                Ok(Swap::Stale(current))
            }
        }
    }

    pub(crate) async fn get_many(&self, keys: Vec<String>) -> Result<Vec<Option<Bytes>>, Problem> {
        let mut script = cmd("EVAL");
        script.arg(READ).arg(keys.len());
        for key in &keys {
            script.arg(self.full(key));
        }
        script.arg(self.limits.value).arg(self.limits.batch());
        let values = self.answer(self.link.read(&script, self.link.deadline()).await?)?;
        values.filter(|values| values.len() == keys.len()).ok_or_else(|| self.link.unexpected())
    }

    pub(crate) async fn set_many(&self, entries: Vec<(String, Vec<u8>)>) -> Result<(), Problem> {
        let mut command = cmd("MSET");
        for (key, value) in &entries {
            command.arg(self.full(key)).arg(value.as_slice());
        }
        self.link.write(&command).await.map(drop)
    }

    pub(crate) async fn delete_many(&self, keys: Vec<String>) -> Result<(), Problem> {
        let mut command = cmd("DEL");
        for key in &keys {
            command.arg(self.full(key));
        }
        self.link.write(&command).await.map(drop)
    }

    pub(crate) async fn ping(&self) -> Result<(), Problem> {
        self.link.read(&cmd("PING"), self.link.deadline()).await.map(drop)
    }

    fn full(&self, key: &str) -> Vec<u8> {
        [self.prefix.as_bytes(), key.as_bytes()].concat()
    }

    /// Returns a key of the server without the prefix, unless no operation of the store can name it.
    fn own(&self, key: &[u8]) -> Option<String> {
        let key = str::from_utf8(key.strip_prefix(self.prefix.as_bytes())?).ok()?;
        (1..=MAX_KEY_BYTES).contains(&key.len()).then(|| key.to_owned())
    }

    async fn scan(&self, at: &str, deadline: Instant) -> Result<(String, Vec<Vec<u8>>), Problem> {
        let pattern = format!("{}*", escape(&self.prefix));
        let mut command = Cmd::new();
        command.arg("SCAN").arg(at).arg("MATCH").arg(pattern).arg("COUNT").arg(SCAN_COUNT);
        let answer = self.link.read(&command, deadline).await?;
        ::redis::from_redis_value(answer).map_err(|_| self.link.unexpected())
    }

    /// Reads the answer of a script: its values, or `None` if the script wrote.
    fn answer(&self, answer: Value) -> Result<Option<Vec<Option<Bytes>>>, Problem> {
        let Value::Array(parts) = answer else { return Err(self.link.unexpected()) };
        let mut parts = parts.into_iter();
        match (parts.next(), parts.next()) {
            (Some(Value::Int(3)), None) => Ok(None),
            (Some(Value::Int(1)), Some(Value::Int(bytes))) => {
                let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
                Err(Problem::StoredTooLarge { bytes, limit: self.limits.value })
            }
            (Some(Value::Int(2)), Some(_)) => Err(Problem::BatchTooLarge { limit: self.limits.batch() }),
            (Some(Value::Int(0)), Some(Value::Array(values))) => {
                let values: Result<_, _> = values.into_iter().map(|value| self.value(value)).collect();
                values.map(Some)
            }
            _ => Err(self.link.unexpected()),
        }
    }

    fn value(&self, value: Value) -> Result<Option<Bytes>, Problem> {
        match value {
            Value::Nil => Ok(None),
            Value::BulkString(bytes) => Ok(Some(bytes.into())),
            _ => Err(self.link.unexpected()),
        }
    }
}

fn parse_cursor(cursor: &str) -> Result<(String, usize), Problem> {
    let (at, skip) = cursor.split_once('+').unwrap_or((cursor, "0"));
    let at: u64 = at.parse().map_err(|_| Problem::BadCursor)?;
    let skip = skip.parse().map_err(|_| Problem::BadCursor)?;
    Ok((at.to_string(), skip))
}

/// Escapes the characters that a pattern of Redis has a meaning for.
fn escape(prefix: &str) -> String {
    let mut pattern = String::with_capacity(prefix.len());
    for character in prefix.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}
