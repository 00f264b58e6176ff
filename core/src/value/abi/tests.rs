//! The canonical ABI against wasmtime's own dynamic `Val` as the oracle: random types and random values, in both
//! directions, in memory and in core-wasm values.

mod component;
mod oracle;
mod streams;

use std::sync::Arc;

use futures::future::BoxFuture;
use proptest::prelude::*;
use wasmtime::component::{Component, Instance, Linker, Val};
use wasmtime::{Config, Engine, Store, StoreContextMut};

use super::call::{Export, Import, Passed, define};
use super::stream::{HasStreams, Streams};
use super::*;
use crate::memory::MemoryBudget;
use crate::value::json::arbitrary::{any_type, list_of_plain_data, member, value_of};
use crate::value::ty::Docs;
use crate::value::{List, Signature, Type};

/// A type and a value of it.
fn typed_value() -> impl Strategy<Value = (Type, Value)> {
    prop_oneof![3 => any_type(), 1 => list_of_plain_data()].prop_flat_map(|ty| {
        let value = value_of(&ty);
        (Just(ty), value)
    })
}

fn signature(params: impl IntoIterator<Item = Type>, result: Option<Type>) -> Signature {
    let params = params.into_iter().enumerate().map(|(index, ty)| member(&format!("p{index}"), Some(ty))).collect();
    Signature { is_async: false, params, result, docs: Docs::default() }
}

struct Guest {
    store: Store<Data>,
    instance: Instance,
}

/// The data of the tests' stores.
struct Data(Streams);

impl HasStreams for Data {
    fn streams(&self) -> &Streams {
        &self.0
    }
}

/// The answerer of a guest's import: chainhost or the oracle. Each returns what it gets.
#[derive(Clone, Copy)]
enum Echo {
    Ours,
    Oracle,
}

struct Identity;

impl Import<Data> for Identity {
    fn call(
        &self,
        _: StoreContextMut<'_, Data>,
        params: Result<Passed, NoRoom>,
    ) -> BoxFuture<'static, Result<Option<Value>>> {
        Box::pin(async move { Ok(params?.values.pop()) })
    }
}

impl Guest {
    async fn new(text: &str, echo: Option<(Echo, &Type)>) -> Self {
        Guest::linked(text, |linker| match echo {
            Some((Echo::Ours, ty)) => {
                let signature = signature([ty.clone()], Some(ty.clone()));
                define(&mut linker.root(), "echo", &signature, Arc::new(Identity)).unwrap();
            }
            Some((Echo::Oracle, _)) => linker
                .root()
                .func_new("echo", |_, _, params, results| {
                    results.clone_from_slice(params);
                    Ok(())
                })
                .unwrap(),
            None => {}
        })
        .await
    }

    async fn linked(text: &str, link: impl FnOnce(&mut Linker<Data>)) -> Self {
        let mut config = Config::new();
        config.wasm_component_model_async(true).wasm_component_model_map(true);
        // Chainlets do not get this. Here it lets a guest of a few lines wait for a stream.
        config.wasm_component_model_more_async_builtins(true);
        let engine = Engine::new(&config).unwrap();
        let component = Component::new(&engine, wat::parse_str(text).expect(text)).expect(text);
        let mut linker = Linker::new(&engine);
        link(&mut linker);
        let mut store = Store::new(&engine, Data(Streams::new(1 << 20, &crate::memory::MemoryBudget::unlimited())));
        let instance = linker.instantiate_async(&mut store, &component).await.expect(text);
        Guest { store, instance }
    }

    async fn ours(&mut self, name: &str, signature: &Signature, params: Vec<Value>) -> Result<Option<Value>> {
        let func = self.instance.get_func(&mut self.store, name).unwrap();
        let export = Export::new(func, signature);
        let called = async |accessor: &_| export.call(accessor, params, None, None, |_, _| {}).await;
        Ok(self.store.run_concurrent(called).await??.value)
    }

    async fn oracle(&mut self, name: &str, params: &[Val], results: usize) -> Vec<Val> {
        let func = self.instance.get_func(&mut self.store, name).unwrap();
        let mut out = vec![Val::Bool(false); results];
        func.call_async(&mut self.store, params, &mut out).await.unwrap();
        out
    }
}

/// Compares as text, so that NaN equals NaN and 0 differs from -0.
fn same(one: &Value, other: &Value) -> bool {
    format!("{one:?}") == format!("{other:?}")
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// The number of parameters beside the tested one. They are so many that all go through memory.
const FILLER: usize = 17;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_we_write_to_memory_the_oracle_reads_and_what_it_writes_we_read((ty, value) in typed_value()) {
        block_on(async {
            let mut guest = Guest::new(&component::keeper(&ty, FILLER), None).await;
            let filler = || (0..FILLER).map(|index| index as u32);
            let put = signature(std::iter::once(ty.clone()).chain(filler().map(|_| Type::U32)), None);
            let whole = Type::Tuple(std::iter::once(ty.clone()).chain(filler().map(|_| Type::U32)).collect());
            let get = signature([], Some(whole.clone()));

            let params: Vec<_> = std::iter::once(value.clone()).chain(filler().map(Value::U32)).collect();
            guest.ours("put", &put, params.clone()).await.unwrap();
            let read = guest.oracle("get", &[], 1).await;
            let expected = Value::Tuple(params.clone().into());
            let read = oracle::value(&whole, &read[0]);
            prop_assert!(same(&read, &expected), "{}: wrote {:?}, the oracle read {:?}", ty, expected, read);

            let params: Vec<_> = std::iter::once(oracle::val(&ty, &value)).chain(filler().map(Val::U32)).collect();
            guest.oracle("put", &params, 0).await;
            let read = guest.ours("get", &get, Vec::new()).await.unwrap().unwrap();
            prop_assert!(same(&read, &expected), "{}: the oracle wrote {:?}, read {:?}", ty, expected, read);
            Ok(())
        })?;
    }

    #[test]
    fn what_we_pass_in_core_values_the_oracle_receives_and_the_other_way_round((ty, value) in typed_value()) {
        let Some(text) = component::passer(&ty) else { return Ok(()) };
        block_on(async {
            let pass = signature([ty.clone()], Some(ty.clone()));

            let mut guest = Guest::new(&text, Some((Echo::Oracle, &ty))).await;
            let back = guest.ours("pass", &pass, vec![value.clone()]).await.unwrap().unwrap();
            prop_assert!(same(&back, &value), "{}: passed {:?}, and {:?} came back", ty, value, back);

            let mut guest = Guest::new(&text, Some((Echo::Ours, &ty))).await;
            let back = guest.oracle("pass", &[oracle::val(&ty, &value)], 1).await;
            let back = oracle::value(&ty, &back[0]);
            prop_assert!(same(&back, &value), "{}: the oracle passed {:?}, and {:?} came back", ty, value, back);
            Ok(())
        })?;
    }
}

/// Returns what `get` yields for a value that a hostile guest made up: `bytes` at address 1024, and a pointer to them.
async fn hostile(ty: &Type, bytes: &[u8], pointer: u32) -> Result<Option<Value>> {
    let mut guest = Guest::new(&component::liar(ty, bytes, pointer), None).await;
    guest.ours("get", &signature([], Some(ty.clone())), Vec::new()).await
}

fn refused(ty: &Type, bytes: &[u8], pointer: u32) -> String {
    format!("{:#}", block_on(hostile(ty, bytes, pointer)).expect_err(&ty.to_string()))
}

fn list(inner: Type) -> Type {
    Type::List(Arc::new(inner))
}

fn map(key: Type, value: Type) -> Type {
    Type::Map { key: Arc::new(key), value: Arc::new(value) }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[test]
fn lists_and_strings_outside_of_memory_are_refused() {
    let pairs = list(Type::Tuple([Type::U8, Type::U32].into()));
    let map = map(Type::U8, Type::U32);
    for ty in [list(Type::U8), list(Type::U32), list(Type::String), Type::String, pairs, map] {
        for (pointer, length) in [(65_536, 1), (0, u32::MAX), (u32::MAX - 3, 4), (65_532, 8), (1 << 31, 1 << 31)] {
            let error = refused(&ty, &words(&[pointer, length]), 1024);
            assert!(error.contains("out of bounds"), "{ty} at {pointer}+{length}: {error}");
        }
    }
}

#[test]
fn misaligned_pointers_are_refused() {
    let pairs = list(Type::Tuple([Type::U8, Type::F64].into()));
    assert!(refused(&pairs, &words(&[1028, 1]), 1024).contains("not aligned"));
    assert!(refused(&map(Type::U8, Type::F64), &words(&[1028, 1]), 1024).contains("not aligned"));
    assert!(refused(&list(Type::U32), &words(&[2, 1]), 1024).contains("not aligned"));
    assert!(refused(&list(Type::U32), &words(&[0, 1]), 1026).contains("not aligned"));
}

#[test]
fn a_result_outside_of_memory_is_refused() {
    for pointer in [65_532, 65_536, u32::MAX - 3] {
        assert!(refused(&list(Type::U8), &[], pointer).contains("out of bounds"), "{pointer}");
    }
}

#[test]
fn what_is_no_value_of_its_type_is_refused() {
    let pair = |first: Type| Type::Tuple([first, Type::U32].into());
    let pairs_of_chars = list(Type::Tuple([Type::U32, Type::Char].into()));
    assert!(refused(&pair(Type::Char), &words(&[0xD800, 0]), 1024).contains("char"));
    assert!(refused(&pair(Type::Char), &words(&[0x11_0000, 0]), 1024).contains("char"));
    assert!(refused(&pair(Type::Option(Arc::new(Type::U32))), &words(&[2, 0, 0]), 1024).contains("discriminant"));
    let result = Type::Result { ok: Some(Arc::new(Type::U32)), err: None };
    assert!(refused(&pair(result), &words(&[9, 0, 0]), 1024).contains("discriminant"));
    let mut text = words(&[1032, 2]);
    text.extend([0xFF, 0xFE]);
    assert!(refused(&Type::String, &text, 1024).contains("utf-8"));
    let mut chars = words(&[1032, 1]);
    chars.extend(words(&[0xDFFF]));
    assert!(refused(&list(Type::Char), &chars, 1024).contains("char"));
    let mut pairs = words(&[1032, 2]);
    pairs.extend(words(&[1, 0x41, 1, 0xDFFF]));
    assert!(refused(&pairs_of_chars, &pairs, 1024).contains("char"));
}

#[test]
fn lists_that_overlap_in_the_guest_cannot_multiply_in_the_host() {
    // 4,096 lists, each the same 32 KiB: 128 MiB out of a guest of 64 KiB.
    let count = 4_096;
    let mut bytes = words(&[1032, count]);
    for _ in 0..count {
        bytes.extend(words(&[0, 33_000]));
    }
    for element in [Type::U8, Type::S8, Type::Bool, Type::Tuple([Type::U8].into())] {
        assert!(refused(&list(list(element.clone())), &bytes, 1024).contains("fuel"), "{element}");
    }
    // A map's entries take more memory in the host than in the guest.
    let mut bytes = words(&[1032, count]);
    for _ in 0..count {
        bytes.extend(words(&[0, 1_000]));
    }
    assert!(refused(&list(map(Type::U8, Type::Bool)), &bytes, 1024).contains("fuel"));
}

#[test]
fn a_key_that_a_guest_writes_twice_has_its_last_value() {
    let bytes = [words(&[1032, 4]), vec![7, 1, 9, 2, 7, 3, 8, 4]].concat();
    let value = block_on(hostile(&map(Type::U8, Type::U8), &bytes, 1024)).unwrap();
    let entries = [(9, 2), (7, 3), (8, 4)].map(|(key, value)| (Value::U8(key), Value::U8(value)));
    assert_eq!(value, Some(Value::Map(entries.into())));
}

#[test]
fn a_bool_is_any_byte_and_flags_that_are_not_declared_are_dropped() {
    let value = block_on(hostile(&Type::Tuple([Type::Bool, Type::U32].into()), &words(&[255, 7]), 1024));
    assert_eq!(value.unwrap(), Some(Value::Tuple([Value::Bool(true), Value::U32(7)].into())));
    let value = block_on(hostile(&list(Type::Bool), &[words(&[1032, 2]), vec![0, 7]].concat(), 1024));
    assert_eq!(value.unwrap(), Some(Value::List(List::Bool(vec![false, true]))));
}

#[test]
fn what_a_guest_leaves_between_fields_does_not_leave_its_memory() {
    let ty = list(Type::Tuple([Type::Bool, Type::U32].into()));
    let bytes = [words(&[1032, 2]), vec![7, 0xAA, 0xBB, 0xCC], words(&[5]), vec![0, 0xDD, 0, 0], words(&[6])].concat();
    let Some(Value::List(List::Packed(items))) = block_on(hostile(&ty, &bytes, 1024)).unwrap() else {
        panic!("no list")
    };
    assert_eq!(items.bytes().as_ref(), [vec![1, 0, 0, 0], words(&[5, 0, 6])].concat());
}

/// A guest of 2 MiB whose `names` returns 500 strings of 1 MiB each, which all lie at one place, and whose `few` returns 2.
const ALIASES: &str = r#"(component
    (type $f (func (result (list string))))
    (core module $m
        (memory (export "mem") 32)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable)
        (func $list (param $length i32) (result i32) (local $i i32)
            (memory.fill (i32.const 65536) (i32.const 97) (i32.const 1048576))
            (loop $next
                (i32.store (i32.add (i32.const 1200000) (i32.mul (local.get $i) (i32.const 8))) (i32.const 65536))
                (i32.store (i32.add (i32.const 1200004) (i32.mul (local.get $i) (i32.const 8))) (i32.const 1048576))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $next (i32.lt_u (local.get $i) (local.get $length))))
            (i32.store (i32.const 8) (i32.const 1200000))
            (i32.store (i32.const 12) (local.get $length))
            i32.const 8)
        (func (export "names") (result i32) (call $list (i32.const 500)))
        (func (export "few") (result i32) (call $list (i32.const 2))))
    (core instance $i (instantiate $m))
    (func $names (type $f)
        (canon lift (core func $i "names") (memory $i "mem") (realloc (func $i "realloc"))))
    (func $few (type $f)
        (canon lift (core func $i "few") (memory $i "mem") (realloc (func $i "realloc"))))
    (export "names" (func $names))
    (export "few" (func $few)))"#;

#[tokio::test]
async fn strings_that_lie_at_one_place_take_no_more_than_the_budget() {
    let budget = MemoryBudget::new(8 << 20);
    let mut guest = Guest::new(ALIASES, None).await;
    let strings = signature([], Some(Type::List(Arc::new(Type::String))));
    for _ in 0..2 {
        let refused = budget.clone().around(guest.ours("names", &strings, Vec::new())).await.unwrap_err();
        assert!(refused.downcast_ref::<NoRoom>().is_some(), "{refused:?}");
        assert_eq!(budget.reserved(), 0);
    }
    // The guest is not to blame, and goes on.
    let few = budget.clone().around(guest.ours("few", &strings, Vec::new())).await.unwrap();
    let Some(Value::List(few)) = few else { panic!("no list") };
    assert_eq!(few.len(), 2);
}
