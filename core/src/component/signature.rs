//! Turns the types of a component file into a [`Signature`].

use std::cell::Cell;
use std::sync::Arc;

use wasmparser::PrimitiveValType;
use wasmparser::component_types::{
    AliasableResourceId, ComponentDefinedType, ComponentDefinedTypeId, ComponentFuncTypeId, ComponentValType,
};

use super::ComponentError;
use super::docs::ComponentDocs;
use super::types::ComponentTypes;
use crate::value::ty::{self, DeclaredType, Member, Name};
use crate::value::{Signature, Type};

/// The most parts that the types of all functions of a component may have together, where a type counts at each place that
/// uses it. A component of 500 bytes can have types of a million parts: a tuple of two tuples of two tuples, and so on.
/// Everything that is made from types, such as the OpenAPI document, grows with their parts.
const MOST_PARTS: usize = 20_000;

/// Reads functions and their types, with the names and docs that WIT gives them.
pub(super) struct TypeReader<'a> {
    types: &'a ComponentTypes,
    docs: &'a ComponentDocs,
    /// The number of parts that may still be read.
    left: Cell<usize>,
}

impl<'a> TypeReader<'a> {
    pub(super) fn new(types: &'a ComponentTypes, docs: &'a ComponentDocs) -> Self {
        TypeReader { types, docs, left: Cell::new(MOST_PARTS) }
    }

    /// Returns the types of the component file.
    pub(super) fn types(&self) -> &ComponentTypes {
        self.types
    }

    /// Checks that all types were read to their end.
    ///
    /// # Errors
    ///
    /// Fails if they have too many parts.
    pub(super) fn check_parts(&self) -> Result<(), ComponentError> {
        if self.left.get() > 0 {
            return Ok(());
        }
        let message = format_args!("the types of the component's functions have more than {MOST_PARTS} parts");
        Err(ComponentError::new(message).help("use fewer nested types, or pass the value as a text, such as JSON"))
    }

    /// Returns the signature of the function type `id`, which must be of the same component.
    pub(super) fn signature(&self, id: ComponentFuncTypeId) -> Option<Signature> {
        let function = self.types.types().get(id)?;
        Some(Signature {
            is_async: function.async_,
            params: function.params.iter().map(|(name, ty)| self.member(name, Some(*ty), None)).collect(),
            result: function.result.map(|ty| self.ty(ty)),
            docs: ty::Docs(self.docs.run_remote()),
        })
    }

    fn ty(&self, ty: ComponentValType) -> Type {
        let Some(left) = self.left.get().checked_sub(1) else { return Type::Unsupported("…".into()) };
        self.left.set(left);
        match ty {
            ComponentValType::Primitive(ty) => primitive(ty),
            ComponentValType::Type(id) => match self.types.types().get(id) {
                Some(ty) => self.defined(id, ty),
                None => Type::Unsupported("an unknown type".into()),
            },
        }
    }

    fn defined(&self, id: ComponentDefinedTypeId, ty: &ComponentDefinedType) -> Type {
        let boxed = |ty: &ComponentValType| Arc::new(self.ty(*ty));
        match ty {
            ComponentDefinedType::Primitive(ty) => primitive(*ty),
            ComponentDefinedType::Record(record) => {
                Type::Record(self.declared(id, record.fields.iter().map(|(name, ty)| (name.as_str(), Some(*ty)))))
            }
            ComponentDefinedType::Variant(variant) => {
                Type::Variant(self.declared(id, variant.cases.iter().map(|(name, case)| (name.as_str(), case.ty))))
            }
            ComponentDefinedType::Enum(cases) => {
                Type::Enum(self.declared(id, cases.iter().map(|name| (name.as_str(), None))))
            }
            ComponentDefinedType::Flags(flags) => {
                Type::Flags(self.declared(id, flags.iter().map(|name| (name.as_str(), None))))
            }
            ComponentDefinedType::List { element, .. } => Type::List(boxed(element)),
            ComponentDefinedType::Map { key, value, .. } => {
                let (key, value) = (self.ty(*key), self.ty(*value));
                // WIT allows no other key, but a component file can hold one.
                if key.is_key() {
                    Type::Map { key: Arc::new(key), value: Arc::new(value) }
                } else {
                    Type::Unsupported(format!("map<{key}, {value}>").into())
                }
            }
            ComponentDefinedType::FixedLengthList { element, length, .. } => {
                Type::Unsupported(format!("list<{}, {length}>", self.ty(*element)).into())
            }
            ComponentDefinedType::Tuple(tuple) => Type::Tuple(tuple.types.iter().map(|ty| self.ty(*ty)).collect()),
            ComponentDefinedType::Option { ty, .. } => Type::Option(boxed(ty)),
            ComponentDefinedType::Result { ok, err, .. } => {
                Type::Result { ok: ok.as_ref().map(boxed), err: err.as_ref().map(boxed) }
            }
            ComponentDefinedType::Own(id) => Type::Unsupported(format!("own<{}>", self.resource(*id)).into()),
            ComponentDefinedType::Borrow(id) => Type::Unsupported(format!("borrow<{}>", self.resource(*id)).into()),
            ComponentDefinedType::Stream { ty: Some(ty), .. } => Type::Stream(boxed(ty)),
            ComponentDefinedType::Stream { ty: None, .. } => Type::Unsupported("stream".into()),
            ComponentDefinedType::Future { ty: Some(ty), .. } => Type::Future(boxed(ty)),
            ComponentDefinedType::Future { ty: None, .. } => Type::Unsupported("future".into()),
        }
    }

    fn declared<'t>(
        &self,
        id: ComponentDefinedTypeId,
        members: impl Iterator<Item = (&'t str, Option<ComponentValType>)>,
    ) -> Arc<DeclaredType> {
        let name = self.types.name(id);
        let docs = |member: &str| self.docs.member(name.as_deref()?, member);
        let members = members.map(|(member, ty)| self.member(member, ty, docs(member))).collect();
        Arc::new(DeclaredType {
            docs: name.as_deref().and_then(|name| self.docs.ty(name)),
            name: name.clone(),
            members,
        })
    }

    /// Returns a member. If it has no docs of its own, it gets those of its type's alias, as after
    /// `type celsius = f32`.
    fn member(&self, name: &str, ty: Option<ComponentValType>, docs: Option<Arc<str>>) -> Member {
        let docs = docs.or_else(|| match ty {
            Some(ComponentValType::Type(id)) if !self.is_declared(id) => self.docs.ty(&self.types.name(id)?),
            _ => None,
        });
        Member { name: Name::new(name), ty: ty.map(|ty| self.ty(ty)), docs }
    }

    /// Returns true if a type has its name in its own declaration, which keeps its docs.
    fn is_declared(&self, id: ComponentDefinedTypeId) -> bool {
        matches!(
            self.types.types().get(id),
            Some(
                ComponentDefinedType::Record(_)
                    | ComponentDefinedType::Variant(_)
                    | ComponentDefinedType::Enum(_)
                    | ComponentDefinedType::Flags(_)
            )
        )
    }

    fn resource(&self, id: AliasableResourceId) -> Arc<str> {
        self.types.name(id).unwrap_or_else(|| "resource".into())
    }
}

fn primitive(ty: PrimitiveValType) -> Type {
    match ty {
        PrimitiveValType::Bool => Type::Bool,
        PrimitiveValType::S8 => Type::S8,
        PrimitiveValType::U8 => Type::U8,
        PrimitiveValType::S16 => Type::S16,
        PrimitiveValType::U16 => Type::U16,
        PrimitiveValType::S32 => Type::S32,
        PrimitiveValType::U32 => Type::U32,
        PrimitiveValType::S64 => Type::S64,
        PrimitiveValType::U64 => Type::U64,
        PrimitiveValType::F32 => Type::F32,
        PrimitiveValType::F64 => Type::F64,
        PrimitiveValType::Char => Type::Char,
        PrimitiveValType::String => Type::String,
        PrimitiveValType::ErrorContext => Type::Unsupported("error-context".into()),
    }
}
