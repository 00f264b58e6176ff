//! Lists of plain data in one buffer: the form of a `list<record { id: u32, score: f32 }>` between two memories.
//!
//! Plain data are numbers, bools and chars, and records and tuples of nothing else. The canonical ABI lays the elements
//! of such a list out without a pointer in them, so the whole list moves by one copy. [`Layout::pack`] checks and
//! corrects the bytes once, when they leave a guest's memory: it makes each bool 0 or 1, rejects each char that is not
//! one, and clears the bytes between fields, so that no other guest can read what this guest left there.

use bytes::Bytes;

use super::Value;
use super::scalars::Scalar;
use super::ty::Type;

/// The offsets of the scalars in a record or tuple of plain data, by the canonical ABI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    size: usize,
    align: usize,
    /// The scalars in the order in which the type declares them, which is the order of their offsets.
    leaves: Vec<Leaf>,
}

/// One scalar of a layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leaf {
    offset: usize,
    scalar: Scalar,
}

/// The elements of a list of records or tuples of plain data, laid out as in memory by the canonical ABI.
///
/// Bools are 0 or 1, chars are valid, and the bytes between fields are zero, so equal lists have equal bytes. Floats
/// are compared by their bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    bytes: Bytes,
    /// The size of an element in bytes.
    stride: usize,
}

/// Bytes that are not a value of their type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("{0:#x} is no char")]
    Char(u32),
    #[error("{0} bytes are no whole number of elements")]
    Length(usize),
}

impl Layout {
    /// Returns the layout of a record or a tuple of plain data; `None` for any other type.
    pub(crate) fn of(ty: &Type) -> Option<Layout> {
        match ty {
            Type::Record(_) | Type::Tuple(_) => {
                let mut layout = Layout::new();
                layout.add(ty)?;
                Some(layout.finish())
            }
            _ => None,
        }
    }

    /// Makes a layout without scalars. The caller [pushes](Layout::push) scalars and then [finishes](Layout::finish)
    /// it.
    pub(crate) fn new() -> Layout {
        Layout { size: 0, align: 1, leaves: Vec::new() }
    }

    /// Adds a scalar at the end.
    pub(crate) fn push(&mut self, scalar: Scalar) {
        let offset = self.size.next_multiple_of(scalar.size());
        self.leaves.push(Leaf { offset, scalar });
        self.size = offset + scalar.size();
        self.align = self.align.max(scalar.size());
    }

    /// Adds a record or tuple at the end. `inner` is its finished layout.
    pub(crate) fn nest(&mut self, inner: &Layout) {
        let start = self.size.next_multiple_of(inner.align);
        self.leaves.extend(inner.leaves.iter().map(|leaf| Leaf { offset: start + leaf.offset, ..*leaf }));
        self.size = start + inner.size;
        self.align = self.align.max(inner.align);
    }

    /// Returns the layout with its size rounded up to the alignment.
    pub(crate) fn finish(mut self) -> Layout {
        self.size = self.size.next_multiple_of(self.align);
        self
    }

    fn add(&mut self, ty: &Type) -> Option<()> {
        let mut nested = |ty: &Type| match Scalar::of(ty) {
            Some(scalar) => {
                self.push(scalar);
                Some(())
            }
            None => {
                self.nest(&Layout::of(ty)?);
                Some(())
            }
        };
        match ty {
            Type::Record(declared) => declared.members.iter().try_for_each(|member| nested(member.ty.as_ref()?)),
            Type::Tuple(types) => types.iter().try_for_each(nested),
            _ => None,
        }
    }

    /// Returns the size of an element in bytes.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Returns the scalars, in the order in which the type declares them.
    pub(crate) fn leaves(&self) -> &[Leaf] {
        &self.leaves
    }

    /// Makes a list of the elements in `bytes`, which come from a guest. Checks and corrects them as the module's
    /// documentation says.
    pub(crate) fn pack(&self, mut bytes: Vec<u8>) -> Result<Packed, Malformed> {
        if !bytes.len().is_multiple_of(self.size) {
            return Err(Malformed::Length(bytes.len()));
        }
        let mut end = 0;
        for leaf in &self.leaves {
            self.clear(&mut bytes, end..leaf.offset);
            end = leaf.offset + leaf.scalar.size();
            match leaf.scalar {
                Scalar::Bool => bytes.iter_mut().skip(leaf.offset).step_by(self.size).for_each(|byte| {
                    *byte = u8::from(*byte != 0);
                }),
                Scalar::Char => {
                    for row in bytes.chunks_exact(self.size) {
                        let code = row.get(leaf.offset..).and_then(|bytes| bytes.first_chunk());
                        let code = u32::from_le_bytes(code.copied().unwrap_or_default());
                        char::from_u32(code).ok_or(Malformed::Char(code))?;
                    }
                }
                _ => {}
            }
        }
        self.clear(&mut bytes, end..self.size);
        Ok(Packed { bytes: bytes.into(), stride: self.size })
    }

    /// Zeroes the bytes `gap`, which belong to no scalar, in each element.
    fn clear(&self, bytes: &mut [u8], gap: std::ops::Range<usize>) {
        if !gap.is_empty() {
            bytes.chunks_exact_mut(self.size).filter_map(|row| row.get_mut(gap.clone())).for_each(|gap| gap.fill(0));
        }
    }

    /// Appends `value` to the elements in `bytes`. Returns false if the value is of another type; `bytes` has grown
    /// then, too.
    pub(crate) fn append(&self, value: &Value, bytes: &mut Vec<u8>) -> bool {
        let start = bytes.len();
        bytes.resize(start + self.size, 0);
        let mut leaves = self.leaves.iter();
        let row = bytes.get_mut(start..).unwrap_or_default();
        write_all(value, &mut leaves, row) && leaves.next().is_none()
    }

    /// Returns element `index` of `list`, which has this layout and elements of type `ty`.
    pub(crate) fn element(&self, ty: &Type, list: &Packed, index: usize) -> Option<Value> {
        read_all(ty, &mut self.leaves.iter(), list.row(index)?)
    }
}

impl Leaf {
    /// Reads the scalar's value from the bytes of an element.
    pub(crate) fn read(&self, row: &[u8]) -> Option<Value> {
        self.scalar.read(row.get(self.offset..)?)
    }
}

fn write_all(value: &Value, leaves: &mut std::slice::Iter<'_, Leaf>, row: &mut [u8]) -> bool {
    match value {
        Value::Record(values) | Value::Tuple(values) => values.iter().all(|value| write_all(value, leaves, row)),
        scalar => match leaves.next() {
            Some(leaf) => row.get_mut(leaf.offset..).is_some_and(|bytes| leaf.scalar.write(scalar, bytes)),
            None => false,
        },
    }
}

fn read_all(ty: &Type, leaves: &mut std::slice::Iter<'_, Leaf>, row: &[u8]) -> Option<Value> {
    match ty {
        Type::Record(declared) => {
            let fields = declared.members.iter().map(|member| read_all(member.ty.as_ref()?, leaves, row));
            Some(Value::Record(fields.collect::<Option<_>>()?))
        }
        Type::Tuple(types) => {
            Some(Value::Tuple(types.iter().map(|ty| read_all(ty, leaves, row)).collect::<Option<_>>()?))
        }
        _ => leaves.next()?.read(row),
    }
}

impl Packed {
    /// Makes a list of the elements that [`Layout::append`] wrote.
    pub(crate) fn of_appended(layout: &Layout, bytes: Vec<u8>) -> Packed {
        Packed { bytes: bytes.into(), stride: layout.size }
    }

    /// Adds the elements of `more`. Returns false, and adds nothing, if they are of another size.
    pub(super) fn append(&mut self, more: &Packed) -> bool {
        if self.stride == more.stride {
            self.bytes = super::joined(std::mem::take(&mut self.bytes), &more.bytes);
        }
        self.stride == more.stride
    }

    /// Returns the number of elements.
    pub fn len(&self) -> usize {
        self.bytes.len().checked_div(self.stride).unwrap_or_default()
    }

    /// Returns true if the list has no element.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns all elements one after the other, little-endian, each field at its offset by the canonical ABI.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Returns the size of an element in bytes.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Returns the elements of `range`, which share the memory of the list.
    pub(crate) fn slice(&self, range: std::ops::Range<usize>) -> Packed {
        let end = range.end.min(self.len());
        let start = range.start.min(end);
        Packed { bytes: self.bytes.slice(start * self.stride..end * self.stride), stride: self.stride }
    }

    /// Returns the bytes of each element.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &[u8]> {
        // No element is empty, because a record has at least one field.
        self.bytes.chunks_exact(self.stride.max(1))
    }

    pub(crate) fn row(&self, index: usize) -> Option<&[u8]> {
        self.bytes.get(index.checked_mul(self.stride)?..)?.get(..self.stride)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::value::json::arbitrary::{any_type, member, value_of};
    use crate::value::ty::DeclaredType;

    fn record(fields: impl IntoIterator<Item = Type>) -> Type {
        let members =
            fields.into_iter().enumerate().map(|(index, ty)| member(&format!("f{index}"), Some(ty))).collect();
        Type::Record(Arc::new(DeclaredType { name: None, docs: None, members }))
    }

    fn offsets(layout: &Layout) -> Vec<usize> {
        layout.leaves.iter().map(|leaf| leaf.offset).collect()
    }

    #[test]
    fn fields_lie_at_their_alignment_and_a_nested_record_at_that_of_its_widest_field() {
        let layout = Layout::of(&record([Type::U8, Type::U32, Type::U16])).unwrap();
        assert_eq!((offsets(&layout), layout.size), (vec![0, 4, 8], 12));
        let inner = Type::Tuple([Type::U8, Type::F64].into());
        let layout = Layout::of(&record([Type::U8, inner, Type::Bool])).unwrap();
        assert_eq!((offsets(&layout), layout.size), (vec![0, 8, 16, 24], 32));
        let layout = Layout::of(&Type::Tuple([Type::U8, Type::U8, Type::Bool].into())).unwrap();
        assert_eq!((offsets(&layout), layout.size), (vec![0, 1, 2], 3));
    }

    #[test]
    fn only_records_and_tuples_of_plain_data_have_a_layout() {
        for ty in [
            Type::U8,
            Type::String,
            record([Type::U8, Type::String]),
            record([Type::Option(Arc::new(Type::U8))]),
            record([record([Type::List(Arc::new(Type::U8))])]),
        ] {
            assert_eq!(Layout::of(&ty), None, "{ty}");
        }
    }

    #[test]
    fn what_a_guest_left_between_fields_is_cleared_and_a_bool_is_0_or_1() {
        let layout = Layout::of(&record([Type::Bool, Type::U32, Type::U8])).unwrap();
        let row = [9, 0xAA, 0xBB, 0xCC, 1, 2, 3, 4, 7, 0xDD, 0xEE, 0xFF];
        let packed = layout.pack([row, row].concat()).unwrap();
        let clean = [1, 0, 0, 0, 1, 2, 3, 4, 7, 0, 0, 0];
        assert_eq!(packed.bytes.as_ref(), [clean, clean].concat());
    }

    #[test]
    fn a_char_that_is_none_is_found_in_whichever_element_it_stands() {
        let layout = Layout::of(&record([Type::U8, Type::Char])).unwrap();
        let row = |code: u32| [vec![0; 4], code.to_le_bytes().to_vec()].concat();
        assert!(layout.pack([row(0x41), row(0x10_FFFF)].concat()).is_ok());
        assert_eq!(layout.pack([row(0x41), row(0xD800)].concat()), Err(Malformed::Char(0xD800)));
    }

    /// A type of plain data and two values of it.
    fn plain() -> impl Strategy<Value = (Type, Value, Value)> {
        any_type().prop_filter_map("not of plain data", |ty| Layout::of(&ty).map(|_| ty)).prop_flat_map(|ty| {
            let (one, other) = (value_of(&ty), value_of(&ty));
            (Just(ty), one, other)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { max_global_rejects: 100_000, ..ProptestConfig::with_cases(128) })]

        #[test]
        fn values_go_in_and_come_back((ty, one, other) in plain()) {
            let layout = Layout::of(&ty).unwrap();
            let mut bytes = Vec::new();
            prop_assert!(layout.append(&one, &mut bytes) && layout.append(&other, &mut bytes));
            let packed = Packed::of_appended(&layout, bytes.clone());
            prop_assert_eq!(packed.len(), 2);
            let back = |index| format!("{:?}", layout.element(&ty, &packed, index).unwrap());
            prop_assert_eq!((back(0), back(1)), (format!("{one:?}"), format!("{other:?}")));
            prop_assert_eq!(layout.element(&ty, &packed, 2), None);
            prop_assert_eq!(layout.pack(bytes).unwrap(), packed);
        }
    }
}
