"""Models."""

from __future__ import annotations

import copy
import functools
import inspect
import json
import sys
import types
import typing
from collections.abc import Callable
from typing import Any

from ._coerce import coerce
from ._dump import dump
from ._errors import ValidationError, line_errors
from ._fields import FieldInfo, PrivateInfo
from ._rules import check

_MISTAKES = (ValueError, TypeError, AssertionError)


class _ModelType(type):
    """Reads the fields of a model when they are first needed, so that annotations may name later classes."""

    _fields: dict[str, FieldInfo] | None
    __private__: dict[str, PrivateInfo]

    def __new__(mcs, name: str, bases: tuple[type, ...], space: dict[str, Any], **config: Any) -> _ModelType:
        own = {key: value for key, value in space.items() if isinstance(value, PrivateInfo)}
        for key in own:
            del space[key]
        options = dict(space.get("model_config", {}))
        cls = super().__new__(mcs, name, bases, space)
        inherited: dict[str, Any] = {}
        private: dict[str, PrivateInfo] = {}
        for base in reversed(bases):
            inherited.update(getattr(base, "model_config", {}))
            private.update(getattr(base, "__private__", {}))
        cls.model_config = {**inherited, **options, **config}  # type: ignore[attr-defined]
        cls.__private__ = {**private, **own}
        cls._fields = None
        return cls

    @property
    def model_fields(cls) -> dict[str, FieldInfo]:
        """The fields by name, those of base classes first."""
        if cls.__dict__.get("_fields") is None:
            cls._fields = _read_fields(cls)
        assert cls._fields is not None
        return cls._fields


def _read_fields(cls: Any) -> dict[str, FieldInfo]:
    hints = typing.get_type_hints(cls, include_extras=True)
    fields: dict[str, FieldInfo] = {}
    for base in reversed(cls.__mro__):
        for name in _annotations(base):
            if name.startswith("_") or name == "model_config" or typing.get_origin(hints[name]) is typing.ClassVar:
                continue
            default = next((c.__dict__[name] for c in cls.__mro__ if name in c.__dict__), ...)
            fields[name] = _field(default, hints[name])
    return fields


def _annotations(cls: type) -> list[str]:
    if hasattr(inspect, "get_annotations") and sys.version_info < (3, 14):
        return list(inspect.get_annotations(cls))
    import annotationlib  # type: ignore[import-not-found,unused-ignore]

    # The names are all that is needed, and the values may name classes that do not exist yet.
    return list(annotationlib.get_annotations(cls, format=annotationlib.Format.FORWARDREF))


def _field(default: Any, annotation: Any) -> FieldInfo:
    info = copy.copy(default) if isinstance(default, FieldInfo) else FieldInfo(default)
    info.annotation = annotation
    if typing.get_origin(annotation) is typing.Annotated:
        for extra in typing.get_args(annotation)[1:]:
            # `Annotated[int, Field(default=…, alias=…)]`: its rules are checked with the type.
            if isinstance(extra, FieldInfo):
                for name in ("default", "default_factory", "alias", "validation_alias", "serialization_alias"):
                    if getattr(info, name) in (None, ...):
                        setattr(info, name, getattr(extra, name))
                info.description = info.description or extra.description
    return info


class BaseModel(metaclass=_ModelType):
    """A class whose fields are checked when it is made."""

    model_config: typing.ClassVar[dict[str, Any]] = {}

    def __init__(self, /, **data: Any) -> None:
        cls = type(self)
        given = data
        for method, mode in _marks(cls, "__validates_model__"):
            given = _of_class(cls, method)(given) if mode == "before" else given
        values, errors = _validated(cls, given)
        if errors:
            raise ValidationError(cls.__name__, errors)
        self.__dict__.update(values)
        by_name = _by_name(cls)
        was_given = {
            name for name, info in cls.model_fields.items() if not given.keys().isdisjoint(info.names(name, by_name))
        }
        object.__setattr__(self, "__set__names", was_given | (values.keys() - cls.model_fields.keys()))
        for name, private in cls.__private__.items():
            object.__setattr__(self, name, private.get())
        self.model_post_init(None)
        for method, mode in _marks(cls, "__validates_model__"):
            try:
                if mode == "after":
                    method(self)
            except _MISTAKES as error:
                found = line_errors(error, (), data)
                raise ValidationError(cls.__name__, [{**each, "loc": ()} for each in found]) from None

    def model_post_init(self, context: Any, /) -> None:
        """Runs after the fields are set; override it."""

    @property
    def model_fields_set(self) -> set[str]:
        """The names of the fields that were given."""
        names: set[str] = self.__dict__["__set__names"]
        return names

    @property
    def model_extra(self) -> dict[str, Any] | None:
        """The values that are no fields, if the model allows them."""
        if type(self).model_config.get("extra") != "allow":
            return None
        return {k: v for k, v in self.__dict__.items() if k not in type(self).model_fields and not k.startswith("_")}

    @classmethod
    def model_construct(cls, _fields_set: set[str] | None = None, **values: Any) -> Any:
        """Makes a model without checks."""
        self = cls.__new__(cls)
        self.__dict__.update(
            {name: info.get_default() for name, info in cls.model_fields.items() if not info.is_required()}
        )
        self.__dict__.update(values)
        object.__setattr__(self, "__set__names", set(values) if _fields_set is None else _fields_set)
        for name, private in cls.__private__.items():
            object.__setattr__(self, name, private.get())
        return self

    @classmethod
    def model_validate(cls, obj: Any, *, from_attributes: bool | None = None, **_: Any) -> Any:
        """Makes a model of a dictionary. A model stays as it is."""
        if isinstance(obj, cls):
            return obj
        if (from_attributes or cls.model_config.get("from_attributes")) and not isinstance(obj, dict):
            obj = {name: getattr(obj, name) for name in cls.model_fields if hasattr(obj, name)}
        if not isinstance(obj, dict):
            message = f"Input should be a valid dictionary or instance of {cls.__name__}"
            raise ValidationError(cls.__name__, [{"type": "model_type", "loc": (), "msg": message, "input": obj}])
        return cls(**obj)

    @classmethod
    def model_validate_json(cls, json_data: str | bytes, **_: Any) -> Any:
        """Makes a model of a JSON text."""
        try:
            data = json.loads(json_data)
        except ValueError as error:
            found = [{"type": "json_invalid", "loc": (), "msg": f"Invalid JSON: {error}", "input": json_data}]
            raise ValidationError(cls.__name__, found) from None
        return cls.model_validate(data)

    def model_dump(
        self,
        *,
        mode: str = "python",
        include: Any = None,
        exclude: Any = None,
        by_alias: bool = False,
        exclude_unset: bool = False,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
        **_options: Any,
    ) -> dict[str, Any]:
        """Returns the fields as a dictionary."""
        cls = type(self)
        for method, _ in _marks(cls, "__serializes_model__"):
            return dump(method(self), mode)  # type: ignore[no-any-return]
        serializers = {name: method for method, names in _marks(cls, "__serializes__") for name in names}
        dumped: dict[str, Any] = {}
        for name in [*cls.model_fields, *(self.model_extra or {}), *_computed(cls)]:
            value, info = getattr(self, name), cls.model_fields.get(name)
            if (include is not None and name not in include) or (exclude is not None and name in exclude):
                continue
            if (exclude_none and value is None) or (exclude_unset and info and name not in self.model_fields_set):
                continue
            if info and (info.exclude or (exclude_defaults and not info.is_required() and value == info.get_default())):
                continue
            value = serializers[name](self, value) if name in serializers else value
            key = (info.serialization_alias if by_alias and info else None) or name
            dumped[key] = dump(
                value,
                mode,
                by_alias=by_alias,
                exclude_unset=exclude_unset,
                exclude_defaults=exclude_defaults,
                exclude_none=exclude_none,
            )
        return dumped

    def model_dump_json(self, *, indent: int | None = None, **options: Any) -> str:
        """Returns the fields as JSON text."""
        separators = (",", ":") if indent is None else None
        dumped = self.model_dump(mode="json", **options)
        return json.dumps(dumped, indent=indent, separators=separators, ensure_ascii=False)

    def model_copy(self, *, update: dict[str, Any] | None = None, deep: bool = False) -> Any:
        """Returns a copy, with other values for some fields, which are not checked."""
        copied = type(self).__new__(type(self))
        copied.__dict__.update(copy.deepcopy(self.__dict__) if deep else self.__dict__)
        copied.__dict__["__set__names"] = self.model_fields_set | set(update or {})
        copied.__dict__.update(update or {})
        return copied

    def __setattr__(self, name: str, value: Any) -> None:
        cls, info = type(self), type(self).model_fields.get(name)
        if info is not None:
            if cls.model_config.get("frozen") or info.frozen:
                found = [{"type": "frozen_instance", "loc": (name,), "msg": "Instance is frozen", "input": value}]
                raise ValidationError(cls.__name__, found)
            if cls.model_config.get("validate_assignment"):
                try:
                    value = _validated_field(cls, name, info, value, dict(self))
                except _MISTAKES as error:
                    raise ValidationError(cls.__name__, line_errors(error, name, value)) from None
            self.model_fields_set.add(name)
        elif not name.startswith("_") and cls.model_config.get("extra") != "allow":
            raise ValueError(f'"{cls.__name__}" object has no field "{name}"')
        object.__setattr__(self, name, value)

    def __iter__(self) -> Any:
        return iter([(name, getattr(self, name)) for name in type(self).model_fields])

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and list(self) == list(other)

    def __hash__(self) -> int:
        if not type(self).model_config.get("frozen"):
            raise TypeError(f"unhashable type: '{type(self).__name__}'")
        return hash((type(self), *(value for _, value in self)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self)})"

    def __str__(self) -> str:
        return " ".join(f"{name}={value!r}" for name, value in self)


def _validated(cls: Any, data: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Returns the checked values of all fields, and the mistakes."""
    values: dict[str, Any] = {}
    errors: list[dict[str, Any]] = []
    by_name = _by_name(cls)
    known: set[str] = set()
    for name, info in cls.model_fields.items():
        names = info.names(name, by_name)
        known.update(names)
        key = next((each for each in names if each in data), None)
        if key is None:
            if info.is_required():
                errors.append({"type": "missing", "loc": (names[0],), "msg": "Field required", "input": data})
            else:
                values[name] = info.get_default()
            continue
        try:
            values[name] = _validated_field(cls, name, info, data[key], values)
        except _MISTAKES as error:
            errors += line_errors(error, key, data[key])
    extra = {key: value for key, value in data.items() if key not in known}
    if cls.model_config.get("extra") == "allow":
        values.update(extra)
    elif cls.model_config.get("extra") == "forbid":
        message = "Extra inputs are not permitted"
        errors += [{"type": "extra_forbidden", "loc": (k,), "msg": message, "input": v} for k, v in extra.items()]
    return values, errors


def _validated_field(cls: Any, name: str, info: FieldInfo, value: Any, others: dict[str, Any]) -> Any:
    """Returns the checked value of one field. `others` has the fields before it, for validators that ask for them."""
    validators = [
        (functools.partial(method, others) if takes_info else method, mode)
        for method, takes_info, mode in _validators(cls, name)
    ]
    for validate, mode in validators:
        value = validate(value) if mode in ("before", "plain") else value
    if not any(mode == "plain" for _, mode in validators):
        value = coerce(info.annotation, value, bool(cls.model_config.get("strict")))
    if isinstance(value, str) and cls.model_config.get("str_strip_whitespace"):
        value = value.strip()
    check(info.rules, value)
    for validate, mode in validators:
        value = validate(value) if mode == "after" else value
    return value


def _by_name(cls: Any) -> bool:
    return bool(cls.model_config.get("populate_by_name") or cls.model_config.get("validate_by_name"))


# A search through all members of a class takes longer than everything else about a small model.
@functools.cache
def _marks(cls: type, mark: str) -> tuple[tuple[Any, Any], ...]:
    """Returns the marked members of a class and of its bases, each with what the mark says."""
    members = [value for base in reversed(cls.__mro__) for value in base.__dict__.values()]
    functions = [(value, getattr(value, "__func__", value)) for value in members]
    return tuple(
        (value, getattr(function, mark))
        for value, function in functions
        if inspect.isroutine(function) and hasattr(function, mark)
    )


def _of_class(cls: type, method: Any) -> Callable[..., Any]:
    """Returns a validator bound to the class. pydantic makes a class method of a plain function."""
    if isinstance(method, (classmethod, staticmethod)):
        bound: Callable[..., Any] = method.__get__(None, cls)
        return bound
    return functools.partial(method, cls)


@functools.cache
def _validators(cls: Any, name: str) -> tuple[tuple[Callable[..., Any], bool, str], ...]:
    """Returns the validators of a field. The flag is true for one that first takes the fields before it."""
    found = []
    for method, (fields, mode) in _marks(cls, "__validates_fields__"):
        if name in fields or "*" in fields:
            bound = _of_class(cls, method)
            takes_info = len(inspect.signature(bound).parameters) > 1
            found.append((_with_info(bound, name) if takes_info else bound, takes_info, mode))
    return tuple(found)


def _with_info(validate: Callable[..., Any], name: str) -> Callable[..., Any]:
    def with_info(others: dict[str, Any], value: Any) -> Any:
        return validate(value, types.SimpleNamespace(data=dict(others), field_name=name))

    return with_info


@functools.cache
def _computed(cls: type) -> tuple[str, ...]:
    names = [name for base in reversed(cls.__mro__) for name, value in base.__dict__.items() if _is_computed(value)]
    return tuple(dict.fromkeys(names))


def _is_computed(value: Any) -> bool:
    return isinstance(value, property) and getattr(value.fget, "__computed__", False)
