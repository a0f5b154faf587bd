"""Sixteen float32 numbers as one value inside numba code.

Compilers rarely keep a small local array in a register across a loop, and the scan is
nothing but such loops. So the kernels say it outright: a `Lanes` value is one vector of
16 floats (one AVX-512 register, two of AVX2, four of NEON: LLVM splits it as needed),
and every function below becomes one or a few instructions. Arithmetic is strict IEEE
apart from `muladd`, which may round once instead of twice; NaN always propagates.

Memory arguments are C-contiguous float32 arrays and a flat index into them. Nothing
here checks bounds.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.extending import intrinsic, models, register_model

LANES = 16

_f32, _i32 = ir.FloatType(), ir.IntType(32)
_vector, _bits = ir.VectorType(_f32, LANES), ir.VectorType(_i32, LANES)


class _LanesType(types.Type):
    def __init__(self):
        super().__init__(name="Lanes")


lanes_type = _LanesType()


@register_model(_LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, fe_type):
        super().__init__(manager, fe_type, _vector)


def _constant(value: float):
    return ir.Constant(_vector, [ir.Constant(_f32, value)] * LANES)


def _call(builder, name, result, args):
    signature = ir.FunctionType(result, [a.type for a in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, signature, name), args)


def _splat(builder, value):
    one = builder.insert_element(ir.Constant(_vector, ir.Undefined), value, _i32(0))
    return builder.shuffle_vector(one, one, ir.Constant(_bits, [_i32(0)] * LANES))


def _address(context, builder, array_type, array, index):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _vector.as_pointer())


def _elementwise(build, count):
    """An intrinsic that takes `count` Lanes and returns Lanes."""

    def codegen(context, builder, signature, args):
        return build(builder, *args)

    signature = lanes_type(*[lanes_type] * count)
    if count == 1:

        def typed(typingctx, a):
            return signature, codegen
    elif count == 2:

        def typed(typingctx, a, b):
            return signature, codegen
    else:

        def typed(typingctx, a, b, c):
            return signature, codegen

    return intrinsic(typed)


add = _elementwise(lambda b, x, y: b.fadd(x, y), 2)
mul = _elementwise(lambda b, x, y: b.fmul(x, y), 2)
muladd = _elementwise(lambda b, *x: _call(b, "llvm.fmuladd.v16f32", _vector, x), 3)


def _select_smaller(builder, x, y):  # y where y < x, else x: a NaN in x stays
    return builder.select(builder.fcmp_ordered("<", y, x), y, x)


def _select_larger(builder, x, y):
    return builder.select(builder.fcmp_ordered(">", y, x), y, x)


at_least = _elementwise(_select_larger, 2)


@intrinsic
def splat(typingctx, value):
    """One float32 in all lanes."""

    def codegen(context, builder, signature, args):
        return _splat(builder, args[0])

    return lanes_type(types.float32), codegen


@intrinsic
def load(typingctx, array, index):
    """array.flat[index : index + 16]."""

    def codegen(context, builder, signature, args):
        return builder.load(_address(context, builder, signature.args[0], *args), align=4)

    return lanes_type(array, types.intp), codegen


@intrinsic
def spread(typingctx, array, index):
    """array.flat[index] in all lanes."""

    def codegen(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return _splat(builder, builder.load(builder.gep(data, [args[1]])))

    return lanes_type(array, types.intp), codegen


def _prefetch(write):
    def typed(typingctx, array, index):
        def codegen(context, builder, signature, args):
            data = context.make_array(signature.args[0])(context, builder, args[0]).data
            where = builder.gep(data, [args[1]])
            flags = [_i32(write), _i32(2), _i32(1)]  # into the second-level data cache
            _call(builder, "llvm.prefetch.p0", ir.VoidType(), [where, *flags])
            return context.get_dummy_value()

        return types.void(array, types.intp), codegen

    return intrinsic(typed)


prefetch, prefetch_to_write = _prefetch(0), _prefetch(1)  # the line of array.flat[index]


@intrinsic
def store(typingctx, array, index, value):
    """array.flat[index : index + 16] = value."""

    def codegen(context, builder, signature, args):
        where = _address(context, builder, signature.args[0], args[0], args[1])
        builder.store(args[2], where, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes_type), codegen


def _masks(half):
    """Lane choices that swap the off-diagonal blocks of size `half` of two rows."""
    low = [_i32(i - half + LANES if i & half else i) for i in range(LANES)]
    high = [_i32(i + LANES if i & half else i + half) for i in range(LANES)]
    return ir.Constant(_bits, low), ir.Constant(_bits, high)


def _rows(context, builder, array_type, array, start, stride):
    """Addresses of array.flat[start + k*stride] for k < 16."""
    steps = (builder.mul(stride, ir.Constant(stride.type, k)) for k in range(LANES))
    return [_address(context, builder, array_type, array, builder.add(start, s)) for s in steps]


@intrinsic
def row_sums(typingctx, source, start):
    """Lane j is the sum of source.flat[start + 16*j : start + 16*j + 16]."""

    def codegen(context, builder, signature, args):
        stride = ir.Constant(args[1].type, LANES)
        addresses = _rows(context, builder, signature.args[0], *args, stride)
        rows = [builder.load(address, align=4) for address in addresses]
        for half in (1, 2, 4, 8):
            low, high = _masks(half)
            pairs = zip(rows[::2], rows[1::2], strict=True)
            rows = [
                builder.fadd(builder.shuffle_vector(a, b, low), builder.shuffle_vector(a, b, high))
                for a, b in pairs
            ]
        return rows[0]

    return lanes_type(source, types.intp), codegen


@intrinsic
def transpose(typingctx, source, start, stride, target, into, step):
    """target.flat[into + j*step + i] = source.flat[start + i*stride + j] for i, j < 16."""

    def codegen(context, builder, signature, args):
        kinds = signature.args
        addresses = _rows(context, builder, kinds[0], *args[:3])
        rows = [builder.load(address, align=4) for address in addresses]
        for half in (1, 2, 4, 8):
            low, high = _masks(half)
            for i in range(LANES):
                if not i & half:
                    a, b = rows[i], rows[i + half]
                    rows[i] = builder.shuffle_vector(a, b, low)
                    rows[i + half] = builder.shuffle_vector(a, b, high)
        for row, address in zip(rows, _rows(context, builder, kinds[3], *args[3:]), strict=True):
            builder.store(row, address, align=4)
        return context.get_dummy_value()

    return types.void(source, types.intp, types.intp, target, types.intp, types.intp), codegen


# 2^x = 2^k 2^f with k = round(x), |f| <= 1/2. Adding 1.5·2^23 rounds x to an integer and
# leaves it in the low bits of the sum, ready to be shifted into the exponent. 2^f is
# 1 + f·q(f), q the degree-5 minimax polynomial: 7e-8 relative after rounding, and exactly
# 1 at 0, so that a tiny step loses nothing.
_ROUND = 12582912.0
_EXP2 = (
    1.54697348e-4,
    1.33908671e-3,
    9.61803077e-3,
    5.55035711e-2,
    0.240226511,
    0.693147188,
)


def _exp2_of_rounded(builder, fraction, rounded):
    p = _constant(_EXP2[0])
    for c in (*_EXP2[1:], 1.0):
        p = _call(builder, "llvm.fmuladd.v16f32", _vector, [p, fraction, _constant(c)])
    shift = ir.Constant(_bits, [_i32(23)] * LANES)
    exponent = builder.shl(builder.bitcast(rounded, _bits), shift)
    return builder.bitcast(builder.add(builder.bitcast(p, _bits), exponent), _vector)


def _exp2_of_product(builder, x, y):
    """2^(x·y), for -126 < x·y < 127 only."""
    rounded = _call(builder, "llvm.fmuladd.v16f32", _vector, [x, y, _constant(_ROUND)])
    whole = builder.fsub(rounded, _constant(_ROUND))
    negative = builder.fneg(whole)
    fraction = _call(builder, "llvm.fmuladd.v16f32", _vector, [x, y, negative])
    return _exp2_of_rounded(builder, fraction, rounded)


def _exp2(builder, x):
    """2^x for any x: 0 below -127, infinite from 128, NaN for NaN."""
    given = x
    x = _select_larger(builder, x, _constant(-127.0))
    x = _select_smaller(builder, x, _constant(128.0))
    rounded = builder.fadd(x, _constant(_ROUND))
    fraction = builder.fsub(x, builder.fsub(rounded, _constant(_ROUND)))
    result = _exp2_of_rounded(builder, fraction, rounded)
    return builder.select(builder.fcmp_unordered("uno", given, given), given, result)


# log(1 + w) = w·q(w) on [0, 1], q the degree-9 minimax polynomial: 1e-7 relative.
_LOG1P = (-3.33877412e-3, 2.02779662e-2, -5.77595144e-2, 0.106845749, -0.153533003)
_LOG1P += (0.196924628, -0.249573487, 0.333302758, -0.499999142, 0.999999996)


def _exp_of_minus_abs(builder, x):
    size = _call(builder, "llvm.fabs.v16f32", _vector, [x])
    size = _select_smaller(builder, size, _constant(87.0))
    return _exp2_of_product(builder, size, _constant(-1.4426950408889634))


def _softplus(builder, x):
    """log(1 + e^x) without overflow, accurate in its tails."""
    w = _exp_of_minus_abs(builder, x)
    q = _constant(_LOG1P[0])
    for c in _LOG1P[1:]:
        q = _call(builder, "llvm.fmuladd.v16f32", _vector, [q, w, _constant(c)])
    positive = _select_larger(builder, x, _constant(0.0))
    return _call(builder, "llvm.fmuladd.v16f32", _vector, [q, w, positive])


def _sigmoid(builder, x):
    w = _exp_of_minus_abs(builder, x)
    positive = builder.fcmp_ordered(">", x, _constant(0.0))
    top = builder.select(positive, _constant(1.0), w)
    return builder.fdiv(top, builder.fadd(w, _constant(1.0)))


softplus = _elementwise(_softplus, 1)
sigmoid = _elementwise(_sigmoid, 1)  # finite even for NaN: for use in gradients of softplus
exp2_of_product = _elementwise(_exp2_of_product, 2)
exp2 = _elementwise(_exp2, 1)


@intrinsic
def all_below(typingctx, x, y):
    """Whether x < y in every lane; False where either is NaN."""

    def codegen(context, builder, signature, args):
        smaller = builder.bitcast(builder.fcmp_ordered("<", *args), ir.IntType(LANES))
        return builder.icmp_unsigned("==", smaller, ir.Constant(ir.IntType(LANES), 2**LANES - 1))

    return types.boolean(lanes_type, lanes_type), codegen
