"""Named tuples as arguments of inner functions: one pointer in place of all fields.

Numba passes a tuple by value, as one argument for each number in it: an array has seven, so the memory of a kernel has
hundreds. Each call of each function would take them apart and put them together again, which takes the compiler long.
A named tuple does not change, so a pointer to its fields does the same, and a function loads those that it uses.

The caller holds the tuple until the call returns, so references to its arrays are not counted. For the same reason no
function returns such a pointer.
"""

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.cgutils import alloca_once, gep_inbounds
from numba.core.datamodel.models import PrimitiveModel
from numba.core.extending import infer_getattr, lower_cast, lower_getattr_generic, register_model
from numba.core.imputils import impl_ret_borrowed
from numba.core.typing.templates import AttributeTemplate


class Reference(types.Type):
    """Type of a pointer to a named tuple.

    Parameters
    ----------
    target : numba type
        Type of the tuple.
    """

    def __init__(self, target: Any) -> None:
        self.target = target
        super().__init__(f"reference_{target.instance_class.__name__}")

    @property
    def key(self) -> Any:
        """What distinguishes it from others. Its name, which becomes part of many others, is short."""
        return self.target

    def field(self, name: str) -> tuple[int, Any]:
        """Return the number and the type of a field."""
        number = self.target.fields.index(name)
        return number, self.target.types[number]


def by_reference(kind: types.Type) -> types.Type:
    """Return the type as which an inner function takes an argument."""
    return Reference(kind) if _is_tuple(kind) else types.unliteral(kind)


def by_value(kind: types.Type) -> types.Type:
    """Return the type as which a kernel takes an argument."""
    return kind.target if isinstance(kind, Reference) else types.unliteral(kind)


def holds_reference(kind: types.Type) -> bool:
    """Return True for a pointer to a tuple, and for a tuple that holds one."""
    return isinstance(kind, Reference) or any(map(holds_reference, getattr(kind, "types", ())))


def _is_tuple(kind: types.Type) -> bool:
    return isinstance(kind, types.BaseNamedTuple)


def _is_flat(kind: types.Type) -> bool:
    return isinstance(kind, types.Array) and kind.ndim == 1 and kind.layout == "C"


@register_model(Reference)
class _ReferenceModel(PrimitiveModel):
    """Pointer to a structure with a place for each field; that of a flat array holds its address and its size."""

    def __init__(self, manager: Any, reference: Reference) -> None:
        places = [self._place(manager, field) for field in reference.target.types]
        super().__init__(manager, reference, ir.LiteralStructType(places).as_pointer())  # type: ignore[no-untyped-call]

    @staticmethod
    def _place(manager: Any, field: types.Type) -> ir.Type:
        model = manager.lookup(Reference(field) if _is_tuple(field) else field)
        if _is_tuple(field):
            return model.be_type.pointee
        if _is_flat(field):
            return ir.LiteralStructType([manager.lookup(model.get_type(name)).get_data_type() for name in _KEPT])
        return model.get_data_type()

    def from_argument(self, builder: ir.IRBuilder, value: Any) -> Any:
        """Return the pointer. Nothing else writes to the fields, so they can be kept in registers."""
        value.add_attribute("noalias")
        return value


_KEPT = "data", "nitems"  # of a flat array


@infer_getattr
class _Fields(AttributeTemplate):
    key = Reference

    def generic_resolve(self, reference: Any, name: str) -> types.Type | None:  # type: ignore[override]
        """Return the type of a field. Of a tuple in the tuple, too, there is a pointer."""
        if name not in reference.target.fields:
            return None
        _, kind = reference.field(name)
        return Reference(kind) if _is_tuple(kind) else kind


@lower_getattr_generic(Reference)  # type: ignore[untyped-decorator]
def _field(context: Any, builder: ir.IRBuilder, reference: Reference, pointer: Any, name: str) -> Any:
    number, kind = reference.field(name)
    place = gep_inbounds(builder, pointer, 0, number)
    return place if _is_tuple(kind) else _load(context, builder, kind, place)


@lower_cast(types.NamedTuple, Reference)  # type: ignore[untyped-decorator]
@lower_cast(types.NamedUniTuple, Reference)  # type: ignore[untyped-decorator]
def _refer(context: Any, builder: ir.IRBuilder, kind: Any, reference: Reference, value: Any) -> Any:
    place = alloca_once(builder, context.get_value_type(reference).pointee)
    _store(context, builder, kind, value, place)
    return place


@lower_cast(Reference, types.NamedTuple)  # type: ignore[untyped-decorator]
@lower_cast(Reference, types.NamedUniTuple)  # type: ignore[untyped-decorator]
def _load_tuple(context: Any, builder: ir.IRBuilder, reference: Reference, kind: Any, pointer: Any) -> Any:
    return _load(context, builder, kind, pointer)


def _store(context: Any, builder: ir.IRBuilder, kind: Any, value: Any, place: Any) -> None:
    """Write a value of a type to its place."""
    if _is_tuple(kind):
        for number, field in enumerate(kind.types):
            part = builder.extract_value(value, number)
            _store(context, builder, field, part, gep_inbounds(builder, place, 0, number))
    elif _is_flat(kind):
        model = context.data_model_manager[kind]
        for number, name in enumerate(_KEPT):
            part = builder.extract_value(value, model.get_field_position(name))
            builder.store(part, gep_inbounds(builder, place, 0, number))
    else:
        context.pack_value(builder, kind, value, place)


def _load(context: Any, builder: ir.IRBuilder, kind: Any, place: Any) -> Any:
    """Read a value of a type from its place."""
    if _is_tuple(kind):
        places = [gep_inbounds(builder, place, 0, number) for number in range(len(kind))]
        fields = [_load(context, builder, *field) for field in zip(kind.types, places, strict=True)]
        return context.make_tuple(builder, kind, fields)
    if _is_flat(kind):
        data, size = (builder.load(gep_inbounds(builder, place, 0, number)) for number in range(len(_KEPT)))
        return _flat_array(context, builder, kind, data, size)
    return impl_ret_borrowed(context, builder, kind, context.unpack_value(builder, kind, place))


def _flat_array(context: Any, builder: ir.IRBuilder, kind: Any, data: Any, size: Any) -> Any:
    """Put an array together, which has no owner that would count references."""
    structure, model = context.get_value_type(kind), context.data_model_manager[kind]
    itemsize = context.get_abi_sizeof(context.get_data_type(kind.dtype))
    given = {"meminfo": None, "parent": None, "itemsize": itemsize, "strides": [itemsize]}
    array = ir.Constant(structure, [given.get(name, ir.Undefined) for name in model._fields])
    for name, value in (("data", data), ("nitems", size)):
        array = builder.insert_value(array, value, model.get_field_position(name))
    return builder.insert_value(array, size, [model.get_field_position("shape"), 0])
