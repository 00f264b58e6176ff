//! Components for a given type, as text.

use crate::value::Type;

/// Text that declares types, and a counter for their names.
#[derive(Default)]
struct Types {
    text: String,
    count: usize,
}

impl Types {
    /// Returns `ty` as a reference or in place. A declared type is declared and exported first.
    fn name(&mut self, ty: &Type) -> String {
        let declared = match ty {
            Type::F32 => return "float32".into(),
            Type::F64 => return "float64".into(),
            Type::List(inner) => return format!("(list {})", self.name(inner)),
            Type::Option(inner) => return format!("(option {})", self.name(inner)),
            Type::Stream(inner) => return format!("(stream {})", self.name(inner)),
            Type::Map { key, value } => return format!("(map {} {})", self.name(key), self.name(value)),
            Type::Tuple(types) => {
                let types: Vec<_> = types.iter().map(|ty| self.name(ty)).collect();
                return format!("(tuple {})", types.join(" "));
            }
            Type::Result { ok, err } => {
                let ok = ok.as_ref().map(|ty| self.name(ty)).unwrap_or_default();
                let err = err.as_ref().map(|ty| format!("(error {})", self.name(ty))).unwrap_or_default();
                return format!("(result {ok} {err})");
            }
            Type::Record(declared) => {
                let fields = declared.members.iter().map(|member| {
                    format!("(field \"{}\" {})", member.name.kebab(), self.name(member.ty.as_ref().unwrap()))
                });
                format!("(record {})", fields.collect::<String>())
            }
            Type::Variant(declared) => {
                let cases = declared.members.iter().map(|member| {
                    let payload = member.ty.as_ref().map(|ty| self.name(ty)).unwrap_or_default();
                    format!("(case \"{}\" {payload})", member.name.kebab())
                });
                format!("(variant {})", cases.collect::<String>())
            }
            Type::Enum(declared) | Type::Flags(declared) => {
                let names: Vec<_> =
                    declared.members.iter().map(|member| format!("\"{}\"", member.name.kebab())).collect();
                let keyword = if matches!(ty, Type::Enum(_)) { "enum" } else { "flags" };
                format!("({keyword} {})", names.join(" "))
            }
            scalar => return scalar.to_string(),
        };
        let index = self.count;
        self.count += 1;
        // An import instead of an export, so that imported functions can use the type as well.
        self.text
            .push_str(&format!("(type $d{index} {declared})\n(import \"t{index}\" (type $t{index} (eq $d{index})))\n"));
        format!("$t{index}")
    }
}

const MEMORY: &str = r#"
    (memory (export "memory") 1)
    (global $heap (mut i32) (i32.const 16))
    (func $realloc (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and
        (i32.add (global.get $heap) (i32.sub (local.get 2) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get 2))))
      (global.set $heap (i32.add (local.get $at) (local.get 3)))
      (block $enough (loop $more
        (br_if $enough (i32.le_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536))))
        (drop (memory.grow (i32.const 1)))
        (br $more)))
      (local.get $at))
"#;

/// Exports `put: func(T, u32…)`, which remembers where its parameters are, and `get: func() -> tuple<T, u32…>`, which
/// returns them from there.
pub(super) fn keeper(ty: &Type, filler: usize) -> String {
    let mut types = Types::default();
    let ty = types.name(ty);
    let params: String = (1..=filler).map(|index| format!("(param \"p{index}\" u32)")).collect();
    let fields = "u32 ".repeat(filler);
    format!(
        r#"(component
  {declared}
  (core module $m {MEMORY}
    (global $kept (mut i32) (i32.const 0))
    (func (export "put") (param i32) (global.set $kept (local.get 0)))
    (func (export "get") (result i32) (global.get $kept)))
  (core instance $i (instantiate $m))
  (func (export "put") (param "p0" {ty}) {params}
    (canon lift (core func $i "put") (memory $i "memory") (realloc (func $i "realloc"))))
  (func (export "get") (result (tuple {ty} {fields}))
    (canon lift (core func $i "get") (memory $i "memory"))))"#,
        declared = types.text,
    )
}

/// Exports `get: func() -> T`, which claims that its result is at `pointer`, with `bytes` at address 1024.
pub(super) fn liar(ty: &Type, bytes: &[u8], pointer: u32) -> String {
    let mut types = Types::default();
    let ty = types.name(ty);
    let data: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
    format!(
        r#"(component
  {declared}
  (core module $m
    (memory (export "memory") 1)
    (data (i32.const 1024) "{data}")
    (func (export "get") (result i32) (i32.const {pointer})))
  (core instance $i (instantiate $m))
  (func (export "get") (result {ty}) (canon lift (core func $i "get") (memory $i "memory"))))"#,
        declared = types.text,
        pointer = pointer.cast_signed(),
    )
}

/// Exports `pass: func(T) -> T`, which passes its core-wasm values on to the import `echo: func(T) -> T`. Returns
/// `None` if T is too wide for core-wasm values.
pub(super) fn passer(ty: &Type) -> Option<String> {
    let slots = flatten(ty);
    if slots.len() > super::MAX_FLAT {
        return None;
    }
    let mut types = Types::default();
    let name = types.name(ty);
    let params: String = slots.iter().map(|slot| format!("(param {slot})")).collect();
    let arguments: String = (0..slots.len()).map(|index| format!("(local.get {index})")).collect();
    let (result, import, body) = match slots.as_slice() {
        [one] => (format!("(result {one})"), format!("{params} (result {one})"), format!("(call $echo {arguments})")),
        _ => (
            "(result i32)".to_string(),
            format!("{params} (param i32)"),
            // More room than any type of the tests needs.
            format!(
                "(local $back i32)
                 (local.set $back (call $realloc (i32.const 0) (i32.const 0) (i32.const 8) (i32.const 4096)))
                 (call $echo {arguments} (local.get $back))
                 (local.get $back)"
            ),
        ),
    };
    Some(format!(
        r#"(component
  {declared}
  (import "echo" (func $echo (param "p0" {name}) (result {name})))
  (core module $memory {MEMORY})
  (core instance $mi (instantiate $memory))
  (core func $lowered (canon lower (func $echo) (memory $mi "memory") (realloc (func $mi "realloc"))))
  (core module $m
    (import "host" "echo" (func $echo {import}))
    (import "memory" "realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))
    (func (export "pass") {params} {result} {body}))
  (core instance $i (instantiate $m
    (with "host" (instance (export "echo" (func $lowered))))
    (with "memory" (instance $mi))))
  (func (export "pass") (param "p0" {name}) (result {name})
    (canon lift (core func $i "pass") (memory $mi "memory") (realloc (func $mi "realloc")))))"#,
        declared = types.text,
    ))
}

/// Exports three functions:
///
/// - `gather: async func(stream<T>) -> list<T>` reads the stream into its memory, at most `batch` items at a time.
/// - `spread: async func(list<T>)` makes a stream, passes its readable end to the import `sink: func(stream<T>)`, and
///   writes the list to it, `batch` items at a time.
/// - `pass: func(stream<T>) -> stream<T>` returns the stream without reading it.
pub(super) fn streamer(item: &Type, batch: u32) -> String {
    let mut types = Types::default();
    let name = types.name(item);
    let (size, align) = size_and_align(item);
    format!(
        r#"(component
  {declared}
  (type $stream (stream {name}))
  (import "sink" (func $sink (param "p0" $stream)))
  (core module $memory {MEMORY})
  (core instance $mi (instantiate $memory))
  (core func $new (canon stream.new $stream))
  (core func $read (canon stream.read $stream (memory $mi "memory") (realloc (func $mi "realloc"))))
  (core func $write (canon stream.write $stream (memory $mi "memory") (realloc (func $mi "realloc"))))
  (core func $drop_read (canon stream.drop-readable $stream))
  (core func $drop_write (canon stream.drop-writable $stream))
  (core func $sink_low (canon lower (func $sink)))
  (core module $m
    (import "memory" "memory" (memory 1))
    (import "memory" "realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))
    (import "s" "new" (func $new (result i64)))
    (import "s" "read" (func $read (param i32 i32 i32) (result i32)))
    (import "s" "write" (func $write (param i32 i32 i32) (result i32)))
    (import "s" "drop-read" (func $drop_read (param i32)))
    (import "s" "drop-write" (func $drop_write (param i32)))
    (import "s" "sink" (func $sink (param i32)))
    (func (export "gather") (param $from i32) (result i32)
      (local $at i32) (local $count i32) (local $got i32) (local $back i32)
      ;; More room than any list of the tests needs.
      (local.set $at (call $realloc (i32.const 0) (i32.const 0) (i32.const {align}) (i32.const {room})))
      (loop $more
        (local.set $got (call $read (local.get $from)
          (i32.add (local.get $at) (i32.mul (local.get $count) (i32.const {size}))) (i32.const {batch})))
        (local.set $count (i32.add (local.get $count) (i32.shr_u (local.get $got) (i32.const 4))))
        ;; Until the writer has dropped its end.
        (br_if $more (i32.eqz (i32.and (local.get $got) (i32.const 15)))))
      (call $drop_read (local.get $from))
      (local.set $back (call $realloc (i32.const 0) (i32.const 0) (i32.const 4) (i32.const 8)))
      (i32.store (local.get $back) (local.get $at))
      (i32.store offset=4 (local.get $back) (local.get $count))
      (local.get $back))
    (func (export "spread") (param $at i32) (param $left i32)
      (local $ends i64) (local $to i32) (local $put i32) (local $next i32)
      (local.set $ends (call $new))
      (local.set $to (i32.wrap_i64 (i64.shr_u (local.get $ends) (i64.const 32))))
      (call $sink (i32.wrap_i64 (local.get $ends)))
      (block $done (loop $more
        (br_if $done (i32.eqz (local.get $left)))
        (local.set $next (select (local.get $left) (i32.const {batch})
          (i32.lt_u (local.get $left) (i32.const {batch}))))
        (local.set $put (i32.shr_u (call $write (local.get $to) (local.get $at) (local.get $next)) (i32.const 4)))
        (br_if $done (i32.eqz (local.get $put)))
        (local.set $at (i32.add (local.get $at) (i32.mul (local.get $put) (i32.const {size}))))
        (local.set $left (i32.sub (local.get $left) (local.get $put)))
        (br $more)))
      (call $drop_write (local.get $to)))
    (func (export "pass") (param i32) (result i32) (local.get 0)))
  (core instance $i (instantiate $m
    (with "memory" (instance $mi))
    (with "s" (instance
      (export "new" (func $new)) (export "read" (func $read)) (export "write" (func $write))
      (export "drop-read" (func $drop_read)) (export "drop-write" (func $drop_write))
      (export "sink" (func $sink_low))))))
  (type $gather (func async (param "p0" $stream) (result (list {name}))))
  (type $spread (func async (param "p0" (list {name}))))
  (func (export "gather") (type $gather)
    (canon lift (core func $i "gather") (memory $mi "memory") (realloc (func $mi "realloc"))))
  (func (export "spread") (type $spread)
    (canon lift (core func $i "spread") (memory $mi "memory") (realloc (func $mi "realloc"))))
  (func (export "pass") (param "p0" $stream) (result $stream) (canon lift (core func $i "pass"))))"#,
        declared = types.text,
        room = size * 64,
    )
}

/// The size and alignment of a type in memory, by the canonical ABI's `elem_size` and `alignment`.
fn size_and_align(ty: &Type) -> (u32, u32) {
    fn fields<'a>(types: impl Iterator<Item = &'a Type>) -> (u32, u32) {
        let (size, align) = types
            .map(size_and_align)
            .fold((0_u32, 1_u32), |(end, most), (size, align)| (end.next_multiple_of(align) + size, most.max(align)));
        (size.next_multiple_of(align), align)
    }
    fn cases<'a>(count: usize, payloads: impl Iterator<Item = &'a Type>) -> (u32, u32) {
        let tag = if count <= 256 { 1 } else { 2 };
        let (size, align) = payloads
            .map(size_and_align)
            .fold((0_u32, 1_u32), |(most, widest), (size, align)| (most.max(size), widest.max(align)));
        let align = align.max(tag);
        ((tag.next_multiple_of(align) + size).next_multiple_of(align), align)
    }
    match ty {
        Type::Bool | Type::S8 | Type::U8 => (1, 1),
        Type::S16 | Type::U16 => (2, 2),
        Type::S32 | Type::U32 | Type::F32 | Type::Char | Type::Stream(_) | Type::Future(_) => (4, 4),
        Type::S64 | Type::U64 | Type::F64 => (8, 8),
        Type::String | Type::List(_) | Type::Map { .. } => (8, 4),
        Type::Tuple(types) => fields(types.iter()),
        Type::Record(declared) => fields(declared.members.iter().map(|member| member.ty.as_ref().unwrap())),
        Type::Option(inner) => cases(2, std::iter::once(&**inner)),
        Type::Result { ok, err } => cases(2, [ok, err].into_iter().flatten().map(|ty| &**ty)),
        Type::Variant(declared) => {
            cases(declared.members.len(), declared.members.iter().filter_map(|member| member.ty.as_ref()))
        }
        Type::Enum(declared) => cases(declared.members.len(), std::iter::empty()),
        Type::Flags(declared) => match declared.members.len() {
            0..=8 => (1, 1),
            9..=16 => (2, 2),
            count => (4 * count.div_ceil(32) as u32, 4),
        },
        Type::Unsupported(text) => panic!("{text} has no size"),
    }
}

/// The core-wasm values of a type, by the canonical ABI's `flatten_type`.
fn flatten(ty: &Type) -> Vec<&'static str> {
    match ty {
        Type::S64 | Type::U64 => vec!["i64"],
        Type::F32 => vec!["f32"],
        Type::F64 => vec!["f64"],
        Type::String | Type::List(_) | Type::Map { .. } => vec!["i32", "i32"],
        Type::Tuple(types) => types.iter().flat_map(flatten).collect(),
        Type::Record(declared) => {
            declared.members.iter().flat_map(|member| flatten(member.ty.as_ref().unwrap())).collect()
        }
        Type::Option(inner) => cases([Some(&**inner)].into_iter()),
        Type::Result { ok, err } => cases([ok.as_deref(), err.as_deref()].into_iter()),
        Type::Variant(declared) => cases(declared.members.iter().map(|member| member.ty.as_ref())),
        Type::Flags(declared) => vec!["i32"; declared.members.len().div_ceil(32)],
        _ => vec!["i32"],
    }
}

fn cases<'a>(payloads: impl Iterator<Item = Option<&'a Type>>) -> Vec<&'static str> {
    let mut joined: Vec<&'static str> = Vec::new();
    for payload in payloads.flatten() {
        for (index, slot) in flatten(payload).into_iter().enumerate() {
            match joined.get_mut(index) {
                None => joined.push(slot),
                Some(other) if *other == slot => {}
                Some(other) if matches!((*other, slot), ("i32", "f32") | ("f32", "i32")) => *other = "i32",
                Some(other) => *other = "i64",
            }
        }
    }
    joined.insert(0, "i32");
    joined
}
