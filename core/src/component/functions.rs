//! Compiled functions that components share.
//!
//! A component of an interpreted language has the whole interpreter in it. All components of Python, for example, share
//! 99.9 % of their code, which takes more than ten seconds to compile. wasmtime compiles a component as a whole, but
//! Cranelift can look each function up first, by a hash of everything that its code depends on.
//!
//! So functions of components with much code are kept while a chain loads, and in the cache: all that were compiled with
//! one code section make one entry there, a [`Pack`], which the next component with that section finds.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::{Buf, BufMut, Bytes};
use rayon::ThreadPool;
use wasmparser::{Parser, Payload};
use wasmtime::{CacheStore, Engine};

/// The least size of a code section whose functions are kept, in bytes. What is smaller compiles in a moment, and the
/// components that authors compile from their own sources rarely share it.
const MUCH: usize = 512 << 10;

/// The part of a pack, as a divisor, that must be new before it is written again.
const WORTH_WRITING: usize = 16;

/// The most bytes of a pack for each byte of its code section. A section compiles to about five times its size, with all
/// that Cranelift notes about it.
const LARGEST_PACK: usize = 16;

/// The length of Cranelift's hash of a function, in bytes.
const KEY: usize = 32;

/// The longest code section in `wasm`, in any of its modules; `None` if none is long enough to be shared.
pub(super) fn shared_code(wasm: &[u8]) -> Option<&[u8]> {
    let sections = Parser::new(0).parse_all(wasm).map_while(Result::ok).filter_map(|payload| match payload {
        Payload::CodeSectionStart { range, .. } => wasm.get(range),
        _ => None,
    });
    sections.filter(|section| section.len() >= MUCH).max_by_key(|section| section.len())
}

/// An engine that compiles for the engine of the host, and keeps the functions that it compiled.
#[derive(Debug)]
pub(super) struct FunctionCompiler {
    engine: Engine,
    functions: Arc<Functions>,
    /// Held while a component compiles, so that the next one finds its functions. The threads that compile are the same
    /// for both, so that waiting costs little.
    turn: Mutex<()>,
}

impl FunctionCompiler {
    /// Makes an engine with the settings in `config`.
    pub(super) fn new(mut config: wasmtime::Config) -> wasmtime::Result<Self> {
        let functions = Arc::new(Functions::default());
        config.enable_incremental_compilation(functions.clone())?;
        Ok(FunctionCompiler { engine: Engine::new(&config)?, functions, turn: Mutex::default() })
    }

    /// Compiles `wasm`, whose longest code section has `section` bytes, on `threads`. Takes the functions that are known,
    /// or in the pack that `read` returns. If many are in neither, passes the pack with them to `write`.
    ///
    /// Components with the same code section lack some functions of each other: code for an indirect call depends on the
    /// order of the types in the whole component.
    pub(super) fn compile(
        &self,
        threads: &ThreadPool,
        wasm: &[u8],
        section: usize,
        read: impl FnOnce() -> Option<Bytes>,
        write: impl FnOnce(&[u8]),
    ) -> wasmtime::Result<Vec<u8>> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let pack = read().unwrap_or_default();
        self.functions.add(Pack(pack.clone()));
        let code = threads.install(|| self.engine.precompile_component(wasm));
        let new = self.functions.take_new();
        let all = pack.len().saturating_add(new.len());
        if code.is_ok() && new.len() > pack.len() / WORTH_WRITING && all <= section.saturating_mul(LARGEST_PACK) {
            write(&[pack, new].concat());
        }
        code
    }
}

/// The functions that are known, by the key that Cranelift gives them.
#[derive(Debug, Default)]
struct Functions {
    known: RwLock<HashMap<Bytes, Bytes>>,
    /// Those that were compiled since the last call of [`Functions::take_new`], as a [`Pack`].
    new: Mutex<Vec<u8>>,
}

impl Functions {
    fn add(&self, pack: Pack) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.extend(pack);
    }

    /// Returns the functions that were compiled since the last call, as a pack.
    fn take_new(&self) -> Bytes {
        std::mem::take(&mut *self.new.lock().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

impl CacheStore for Functions {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(key).map(|function| Cow::Owned(function.to_vec()))
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
        let (KEY, Ok(length)) = (key.len(), u32::try_from(value.len())) else { return false };
        let mut new = self.new.lock().unwrap_or_else(PoisonError::into_inner);
        new.put_slice(key);
        new.put_u32_le(length);
        new.put_slice(&value);
        drop(new);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(Bytes::copy_from_slice(key), value.into());
        true
    }
}

/// Functions as they are in the cache: for each its key, its length, and its bytes. A pack after a pack is a pack. One
/// that is cut short is read up to the cut.
struct Pack(Bytes);

impl Iterator for Pack {
    type Item = (Bytes, Bytes);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &mut self.0;
        let key = (rest.len() >= KEY).then(|| rest.split_to(KEY))?;
        let length = usize::try_from(rest.try_get_u32_le().ok()?).ok()?;
        (rest.len() >= length).then(|| (key, rest.split_to(length)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pack_has_what_was_put_into_it_and_ends_where_it_is_cut() {
        let function = |byte: u8, length| (Bytes::from(vec![byte; KEY]), Bytes::from(vec![byte; length]));
        let packed = [function(1, 5), function(2, 0), function(3, 70_000)];
        let functions = Functions::default();
        for (key, function) in &packed {
            assert!(functions.insert(key, function.to_vec()));
            assert_eq!(functions.get(key).as_deref(), Some(&**function));
        }
        assert!(!functions.insert(b"no hash", vec![1]));
        let pack = functions.take_new();
        assert_eq!(functions.take_new(), Bytes::new());
        assert_eq!(Pack(pack.clone()).collect::<Vec<_>>(), packed);
        for cut in [pack.len() - 1, 2 * (KEY + 4) + 5, KEY + 4 + 5 + 3] {
            let read: Vec<_> = Pack(pack.slice(..cut)).collect();
            assert!(packed.starts_with(&read) && read.len() < packed.len(), "{cut}");
        }
        assert_eq!(Pack(pack.slice(..KEY + 4 + 5)).collect::<Vec<_>>(), packed[..1]);
    }

    /// Makes a component of one module with much code and of `other`.
    fn component(other: &str) -> Vec<u8> {
        let steps = |function: usize| (0..60).map(move |step| format!("i32.const {} i32.xor ", 1000 * function + step));
        let function =
            |index| format!("(func (param i32) (result i32) local.get 0 {})", steps(index).collect::<String>());
        let functions: String = (0..2_000).map(function).collect();
        wat::parse_str(format!("(component (core module {functions}) (core module {other}))")).unwrap()
    }

    #[test]
    fn components_with_the_same_code_section_share_its_functions() {
        let (engine, config) = crate::engine::new(10, false).unwrap();
        let threads = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let (first, second) = (component("(func)"), component("(func (result i32) i32.const 7)"));
        let section = shared_code(&first).unwrap();
        assert_eq!(shared_code(&second), Some(section));

        let mut pack = Vec::new();
        let compiler = FunctionCompiler::new(config.clone()).unwrap();
        let write = |written: &[u8]| pack = written.to_vec();
        compiler.compile(&threads, &first, section.len(), || None, write).unwrap();
        assert!(Pack(pack.clone().into()).count() > 2_000);

        // The next process.
        let compiler = FunctionCompiler::new(config).unwrap();
        let read = || Some(pack.clone().into());
        let write = |_: &[u8]| panic!("nearly all functions are in the pack");
        let code = compiler.compile(&threads, &second, section.len(), read, write).unwrap();
        assert!(compiler.functions.known.read().unwrap().len() < 2_100);
        // SAFETY: the code is as it was compiled, for an engine with the same settings.
        unsafe { wasmtime::component::Component::deserialize(&engine, &code) }.unwrap();
    }

    #[test]
    fn little_code_is_not_kept() {
        assert_eq!(shared_code(&wat::parse_str("(component (core module (func)))").unwrap()), None);
        assert_eq!(shared_code(b"no component"), None);
    }
}
