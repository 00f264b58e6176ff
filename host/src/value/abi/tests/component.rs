//! Components for a given type, as text.

use crate::value::Type;

/// Text that declares what types need, and counts names.
#[derive(Default)]
struct Types {
    text: String,
    count: usize,
}

impl Types {
    /// `ty` as a reference or in place; a declared type is declared, and exported, before.
    fn name(&mut self, ty: &Type) -> String {
        let declared = match ty {
            Type::F32 => return "float32".into(),
            Type::F64 => return "float64".into(),
            Type::List(inner) => return format!("(list {})", self.name(inner)),
            Type::Option(inner) => return format!("(option {})", self.name(inner)),
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
        // An import, and not an export, so that the type is there for imported functions as well.
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

/// Exports `put: func(T, u32…)`, which keeps where its parameters are, and `get: func() -> tuple<T, u32…>`, which gives
/// them back from there.
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

/// Exports `get: func() -> T`, which says that its result is at `pointer`, with `bytes` at address 1024.
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

/// Exports `pass: func(T) -> T`, which passes its core-wasm values on to the import `echo: func(T) -> T`; `None` where T
/// is too wide to be passed in core-wasm values.
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

/// The core-wasm values of a type, by the canonical ABI's `flatten_type`.
fn flatten(ty: &Type) -> Vec<&'static str> {
    match ty {
        Type::S64 | Type::U64 => vec!["i64"],
        Type::F32 => vec!["f32"],
        Type::F64 => vec!["f64"],
        Type::String | Type::List(_) => vec!["i32", "i32"],
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
