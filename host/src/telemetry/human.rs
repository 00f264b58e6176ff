//! Log lines for people: the time, the level, and the event. A guest's own line begins with its replica.
//!
//! ```text
//! 2026-05-01T10:00:00.000000Z  INFO say-hello[0] stdout: the model is loaded
//! 2026-05-01T10:00:00.000000Z  INFO say-hello[0] request=7f3a: three names
//! 2026-05-01T10:00:00.000000Z  WARN replica does not start chainlet=say-hello replica=0
//! ```
//!
//! Everything after the colon of a guest's line comes from the guest. So it cannot pass for what the host says about
//! the guest.
//!
//! Two kinds of events have more than one line: a trap, with the guest's frames below it, and an error of several
//! lines, such as that of a chain.toml. The further lines are indented, so that none can pass for an event.

use std::fmt::{self, Debug};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use crate::cli::write_printable;

/// The target of the events that are a guest's own lines.
const GUEST: &str = "chainlet";
/// The targets of the host's own events begin with this. Their lines do not name the target.
const HOST: &str = "chainhost";

/// The format of log lines for people.
pub struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let about = event.metadata();
        SystemTime.format_time(&mut out)?;
        level(&mut out, *about.level())?;
        let mut parts = Parts::default();
        event.record(&mut parts);
        if about.target() == GUEST {
            let replica = parts.replica();
            return writeln!(out, "{replica}{parts}");
        }
        if !about.target().starts_with(HOST) {
            write!(out, "{}: ", about.target())?;
        }
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            out.write_str(span.name())?;
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>().filter(|fields| !fields.is_empty()) {
                write!(out, "{{{fields}}}")?;
            }
            out.write_str(": ")?;
        }
        writeln!(out, "{parts}")
    }
}

fn level(out: &mut Writer<'_>, level: Level) -> fmt::Result {
    if !out.has_ansi_escapes() {
        return write!(out, " {level:>5} ");
    }
    let colour = match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    };
    write!(out, " \x1b[{colour}m{level:>5}\x1b[0m ")
}

/// The parts of an event, which are shown in different places.
#[derive(Default)]
struct Parts {
    message: String,
    fields: Vec<(&'static str, String)>,
    /// The error. It comes after the other fields, because it may hold the words of a guest.
    error: String,
    /// A guest's frames. Each frame is shown on a line of its own.
    backtrace: String,
}

impl Parts {
    /// Takes the fields that name the replica out of the event. Returns `say-hello[0] stdout request=7f3a: `.
    fn replica(&mut self) -> String {
        let mut take = |name| {
            let place = self.fields.iter().position(|(field, _)| *field == name);
            place.map(|place| self.fields.remove(place).1).unwrap_or_default()
        };
        let (chainlet, replica) = (take("chainlet"), take("replica"));
        let (stream, request) = (take("stream"), take("request"));
        let mut replica = format!("{chainlet}[{replica}]");
        if !stream.is_empty() {
            replica.push(' ');
            replica.push_str(&stream);
        }
        if !request.is_empty() {
            replica.push_str(" request=");
            // Writing to a string cannot fail.
            let _ = write_printable(&mut replica, &request, &[]);
        }
        replica + ": "
    }
}

impl Visit for Parts {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "backtrace" => self.backtrace = value.to_owned(),
            "message" => self.message = value.to_owned(),
            "error" => self.error = value.to_owned(),
            name => self.fields.push((name, format!("{value:?}"))),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            "error" => self.error = format!("{value:?}"),
            name => self.fields.push((name, format!("{value:?}"))),
        }
    }
}

impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_printable(f, &self.message, &['\t'])?;
        for (name, value) in &self.fields {
            write!(f, " {name}=")?;
            write_printable(f, value, &['\t'])?;
        }
        let is_long = self.error.trim_end().contains('\n');
        if !is_long && !self.error.is_empty() {
            f.write_str(" error=")?;
            write_printable(f, self.error.trim_end(), &['\t'])?;
        }
        let error = if is_long { &*self.error } else { "" };
        for line in error.lines().chain(self.backtrace.lines()) {
            f.write_str("\n    ")?;
            write_printable(f, line, &['\t'])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns what `log` logs, without the time.
    fn logged(log: impl FnOnce()) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).event_format(Lines).finish();
        tracing::subscriber::with_default(subscriber, log);
        let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
        text.split_once("Z ").unwrap().1.to_owned()
    }

    #[test]
    fn a_guests_line_names_its_replica_and_its_stream() {
        let line = logged(|| {
            tracing::info!(target: "chainlet", chainlet = %"say-hello", replica = 1u32, stream = %"stdout", "ready");
        });
        assert_eq!(line, " INFO say-hello[1] stdout: ready\n");
    }

    #[test]
    fn a_guest_cannot_write_escape_sequences_to_the_terminal() {
        let line = logged(|| tracing::info!(target: "chainlet", chainlet = %"c", replica = 0u32, "\x1b[2J\ta\u{9b}b"));
        assert_eq!(line, " INFO c[0]: \\u{1b}[2J\ta\\u{9b}b\n");
    }

    #[test]
    fn the_hosts_own_lines_have_their_fields_and_the_spans_around_them() {
        let line = logged(|| {
            let _span = tracing::info_span!(target: "chainhost::server", "request", id = 7).entered();
            tracing::warn!(target: "chainhost::server", status = 503, "refused");
        });
        assert_eq!(line, " WARN request{id=7}: refused status=503\n");
    }

    #[test]
    fn a_guests_frames_are_lines_of_their_own_and_the_rest_is_one_line() {
        let line = logged(|| {
            let backtrace = "0: main\n1: start";
            tracing::error!(target: "chainhost", backtrace, cause = %"a\nb", text = "c d", "died");
        });
        assert_eq!(line, "ERROR died cause=a\\nb text=\"c d\"\n    0: main\n    1: start\n");
    }

    #[test]
    fn an_error_comes_last_and_its_lines_stand_below_the_event() {
        let line = logged(|| tracing::warn!(target: "chainhost", error = "no \"x\" here", replica = 1u32, "it failed"));
        assert_eq!(line, " WARN it failed replica=1 error=no \"x\" here\n");
        let lines = logged(|| {
            let error = "a.toml:1: bad\n1 | x\u{1b}\n\nhelp: mend it\n";
            tracing::warn!(target: "chainhost", %error, replica = 1u32, "no");
        });
        assert_eq!(lines, " WARN no replica=1\n    a.toml:1: bad\n    1 | x\\u{1b}\n    \n    help: mend it\n");
    }

    #[test]
    fn the_lines_of_other_crates_name_their_crate() {
        assert_eq!(logged(|| tracing::error!(target: "hyper", "gone")), "ERROR hyper: gone\n");
    }
}
