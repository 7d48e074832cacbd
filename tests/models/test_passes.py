"""One-pass operations for GPUs: the kernels interpreted on the CPU, compiled for a GPU, and without
them."""

import importlib
import sys

import pytest
import torch
from torch.nn import functional as F

from dunrestore import models
from dunrestore.models import convolution, edsr, hinet, launches, normalisation, passes, trial
from dunrestore.models.car import CAR, CARConfig
from dunrestore.models.edsr import EDSRConfig
from dunrestore.models.hinet import HINet, HINetConfig
from dunrestore.models.normalisation import EPS, InstanceNorm, set_window

KERNELS = "dunrestore.models.kernels"
DTYPES = {torch.float32: 1e-5, torch.bfloat16: 3e-2}


def innermost(*shape, dtype=torch.float32):
    return torch.randn(shape).to(dtype).contiguous(memory_format=torch.channels_last)


def forget_kernels():
    sys.modules.pop(KERNELS, None)
    vars(models).pop("kernels", None)


def fresh_kernels():
    forget_kernels()  # whether they are interpreted is decided at the import
    return importlib.import_module(KERNELS)


@pytest.fixture
def kernels(monkeypatch):
    """The kernels, which Triton's interpreter computes."""
    pytest.importorskip("triton")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    yield fresh_kernels()
    forget_kernels()


@pytest.fixture
def on_gpu(monkeypatch):
    """Layers take a GPU's way though everything is on the CPU; returns what chooses the kernels."""

    def with_kernels(kernels):
        monkeypatch.setattr(passes, "_kernels", lambda _: kernels)
        for module in (passes, convolution, edsr, hinet, normalisation):
            monkeypatch.setattr(module, "is_half_on_gpu", lambda _: not torch.is_grad_enabled())
        monkeypatch.setattr(torch, "get_autocast_dtype", lambda _: torch.bfloat16)

    return with_kernels


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(2, 6, 5, 7), (1, 8, 40, 33)])
def test_bias_leaky_relu_and_addition_in_one_pass(kernels, dtype, shape):
    out, plus = innermost(*shape, dtype=dtype), innermost(*shape, dtype=dtype)
    bias = torch.randn(shape[1]).to(dtype)
    biased = out.float() + bias.float().view(-1, 1, 1)
    wanted = {
        (True, None, False): biased,
        (True, 0.2, False): F.leaky_relu(biased, 0.2),
        (True, 0, True): F.relu(biased) + plus.float(),
        (False, 0.2, True): F.leaky_relu(out.float(), 0.2) + plus.float(),
        (False, None, True): out.float() + plus.float(),
    }
    for (has_bias, slope, has_plus), expected in wanted.items():
        found = out.clone()
        given = (bias if has_bias else None, slope, plus if has_plus else None)
        launches.launch_finish(kernels.finish, found, *given)
        torch.testing.assert_close(found.float(), expected, atol=DTYPES[dtype], rtol=1e-2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("cin", "cout"), [(16, 16), (32, 16), (16, 128), (256, 64), (128, 32), (64, 64)]
)
def test_a_shortcut_in_one_pass(kernels, monkeypatch, dtype, cin, cout):
    monkeypatch.setattr(passes, "_kernels", lambda _: kernels)
    out, x = innermost(2, cout, 9, 15, dtype=dtype), innermost(2, cin, 9, 15, dtype=dtype)
    weight = (innermost(cout, cin, 1, 1) / cin**0.5).to(dtype)
    bias, own_bias = (torch.randn(cout).to(dtype) for _ in range(2))
    before = F.leaky_relu(out.float() + bias.float().view(-1, 1, 1), 0.2)
    expected = before + F.conv2d(x.float(), weight.float(), own_bias.float())
    found = passes.with_shortcut(out, bias, 0.2, x, weight, own_bias)
    torch.testing.assert_close(found.float(), expected, atol=DTYPES[dtype], rtol=1e-2)
    assert found is out  # no other way was taken


@pytest.mark.parametrize(("cin", "cout"), [(16, 24), (24, 16), (96, 32), (16, 256), (8, 16)])
def test_shortcuts_of_other_widths_are_pytorchs(kernels, monkeypatch, cin, cout):
    monkeypatch.setattr(passes, "_kernels", lambda _: kernels)
    monkeypatch.setattr(passes, "launch_shortcut", None)
    out, x = innermost(1, cout, 5, 7), innermost(1, cin, 5, 7)
    weight, bias, own_bias = innermost(cout, cin, 1, 1), torch.randn(cout), torch.randn(cout)
    expected = F.leaky_relu(out + bias.view(-1, 1, 1), 0.2) + F.conv2d(x, weight, own_bias)
    found = passes.with_shortcut(out, bias, 0.2, x, weight, own_bias)
    torch.testing.assert_close(found, expected)


def test_gpus_that_triton_cannot_multiply_on_take_pytorchs_shortcut(kernels, monkeypatch):
    monkeypatch.setattr(passes, "_kernels", lambda _: kernels)
    monkeypatch.setattr(passes, "_multiplies", lambda _: False)
    monkeypatch.setattr(passes, "launch_shortcut", None)
    monkeypatch.setattr(passes, "launch_attended", None)
    out, x = innermost(1, 16, 5, 7), innermost(1, 16, 5, 7)
    weight, bias, own_bias = innermost(16, 16, 1, 1), torch.randn(16), torch.randn(16)
    expected = F.leaky_relu(out + bias.view(-1, 1, 1), 0.2) + F.conv2d(x, weight, own_bias)
    found = passes.with_shortcut(out, bias, 0.2, x, weight, own_bias)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [16, 64, 128, 24])
def test_attention_and_the_joint_convolution_in_one_pass(kernels, monkeypatch, dtype, channels):
    monkeypatch.setattr(passes, "_kernels", lambda _: kernels)
    first, gate, features, plus = (innermost(2, channels, 9, 15, dtype=dtype) for _ in range(4))
    first_bias, gate_bias, bias = (torch.randn(channels).to(dtype) for _ in range(3))
    weight = (innermost(channels, channels, 1, 1) / channels**0.5).to(dtype)

    def biased(x, own):
        return x.float() + own.float().view(-1, 1, 1)

    weighted = biased(first, first_bias) * torch.sigmoid(biased(gate, gate_bias)) + features.float()
    expected = F.conv2d(weighted, weight.float()) + biased(plus, bias)
    given = (first, first_bias, gate, gate_bias, features, weight, plus, bias)
    found = passes.attended(*given)
    torch.testing.assert_close(found.float(), expected, atol=2 * DTYPES[dtype], rtol=2e-2)
    assert (found is plus) == (channels != 24)


KERNEL_NAMES = ("finish", "shortcut", "attended", "reflect", "normalise")


@pytest.mark.parametrize("name", [None, *KERNEL_NAMES])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_kernels_that_compute_wrongly_are_not_used(kernels, monkeypatch, name, dtype):
    monkeypatch.setattr(passes, "_FOUND", {})
    monkeypatch.setattr(torch, "get_autocast_dtype", lambda _: dtype)
    if name is not None:
        launch = getattr(trial, f"launch_{name}")
        of_result = {"attended": 7, "reflect": 2}.get(name, 1)

        def wrong(*arguments):
            launch(*arguments)
            result = arguments[of_result]
            result[:] = result.flip(2) if name == "reflect" else result.roll(1, 1)

        monkeypatch.setattr(trial, f"launch_{name}", wrong)
    found = passes.why_without_kernels(torch.device("cpu", 2))
    assert found == ("" if name is None else f"{name} computes wrongly")


def test_a_kernel_that_cannot_be_built_later_is_the_last_one(kernels, monkeypatch, caplog):
    cpu = torch.device("cpu")
    monkeypatch.setattr(passes, "_FOUND", {cpu: (kernels, "")})
    out, bias = innermost(1, 16, 5, 7), torch.randn(16)

    def fails(*_):
        raise error

    monkeypatch.setattr(passes, "launch_finish", fails)
    error = torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(torch.OutOfMemoryError):
        passes.finish(out.clone(), bias)
    assert passes.why_without_kernels(cpu) == ""
    error = ValueError("out of resource: shared memory")
    expected = out + bias.view(-1, 1, 1)
    assert torch.equal(passes.finish(out.clone(), bias), expected)
    assert "out of resource" in passes.why_without_kernels(cpu)
    assert "no kernels of our own on cpu any more" in caplog.text
    monkeypatch.setattr(passes, "launch_finish", None)  # would raise TypeError
    assert torch.equal(passes.joined([(out, bias)]), expected)


def test_results_are_joined_where_they_belong(kernels, monkeypatch):
    monkeypatch.setattr(passes, "_kernels", lambda _: kernels)
    parts = [(innermost(2, 6, 5, 7), torch.randn(6)), (innermost(2, 3, 5, 7), None)]
    expected = torch.cat([parts[0][0] + parts[0][1].view(-1, 1, 1), parts[1][0]], dim=1)
    out = passes.joined(parts)
    assert torch.equal(out, expected)
    assert out.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("pad", [1, 2])
@pytest.mark.parametrize("channels", [3, 8])
def test_reflection_in_one_pass(kernels, pad, channels):
    x = innermost(2, channels, 5, 300)
    out = innermost(2, channels, 5 + 2 * pad, 300 + 2 * pad)
    launches.launch_reflect(kernels.reflect, x, out, pad)
    assert torch.equal(out, F.pad(x, (pad,) * 4, mode="reflect"))


@pytest.mark.parametrize(
    ("shape", "window"), [((2, 6, 9, 11), 4), ((1, 8, 5, 30), 12), ((1, 4, 40, 3), 5)]
)
@pytest.mark.parametrize("offset", [0, 300])
def test_half_instance_normalisation_in_two_passes(kernels, shape, window, offset):
    x = offset + 2 * innermost(*shape)
    norm = InstanceNorm(shape[1] // 2)
    norm.weight.data.uniform_(0.5, 2)
    norm.bias.data.normal_()
    norm.window = window
    normalised, plain = x.chunk(2, dim=1)
    expected = F.leaky_relu(torch.cat([norm(normalised), plain], dim=1), 0.2)
    weights = (norm.weight.data, norm.bias.data)
    launches.launch_normalise(kernels, x, *weights, window, EPS, 0.2)
    close = 1e-5 if offset == 0 else 1e-3
    torch.testing.assert_close(x, expected.detach(), atol=close, rtol=close)


def networks():
    torch.manual_seed(0)
    hinet = HINet(HINetConfig(width=8, depth=3, hin_first=1, hin_last=2))
    set_window(hinet, 32)
    edsr = EDSRConfig(blocks=2, features=8)
    return hinet, CAR(CARConfig(width=8, residual_blocks=1, edsr=edsr))


@pytest.mark.parametrize("interpreted", [True, False])
def test_networks_compute_the_same_the_gpus_way(request, on_gpu, interpreted):
    kernels = request.getfixturevalue("kernels") if interpreted else None
    x = torch.rand(1, 3, 48, 64).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        expected = [network(x)[-1] for network in networks()]
    on_gpu(kernels)
    with torch.inference_mode():
        found = [network(x)[-1].float() for network in networks()]
    for one, other in zip(expected, found, strict=True):
        assert (one - other).abs().mean() < 2e-3
        assert (one - other).abs().max() < 3e-2
        assert not torch.equal(one, other)  # it was another way


@pytest.mark.parametrize("factor", [2, 4])
def test_shuffles_are_pytorchs(factor):
    x = innermost(2, 3 * factor**2, 5, 7)
    large = passes.shuffled(x, factor)
    assert torch.equal(large, F.pixel_shuffle(x, factor))
    assert large.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(passes.unshuffled(large, factor), x)


def test_a_gpu_whose_memory_is_full_is_asked_again(monkeypatch):
    errors = [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("no C compiler"), None]
    monkeypatch.setattr(passes, "_FOUND", {})

    def tried(*_):
        if error := errors[0]:
            raise error
        return []

    monkeypatch.setattr(passes, "wrong_ones", tried)
    # Whether Triton is here or not.
    monkeypatch.setattr(models, "kernels", None, raising=False)
    cpu, other = torch.device("cpu", 0), torch.device("cpu", 1)
    assert "out of memory" in passes.why_without_kernels(cpu)
    del errors[0]
    assert "no C compiler" in passes.why_without_kernels(cpu)
    del errors[0]
    assert "no C compiler" in passes.why_without_kernels(cpu)  # not tried again
    assert passes.why_without_kernels(other) == ""


def test_kernels_compile_for_a_gpu_that_is_not_here():
    # The interpreter takes what the compiler does not.
    triton = pytest.importorskip("triton")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    kernels = fresh_kernels()
    constants = {
        "finish": {
            "channels": 16,
            "all_channels": 32,
            "has_bias": True,
            "has_slope": True,
            "has_plus": True,
        },
        "shortcut": {"cin": 128, "cout": 64, "rows": 128, "deep": 64, "widened": False},
        "attended": {"channels": 64, "rows": 128, "widened": False},
        "reflect": {"pad": 1, "channels": 128},
        "window_sums": {"side": 12, "channels": 128, "counted": 64},
        "normalise": {"side_rows": 12, "side_columns": 12, "channels": 128, "counted": 64},
    }
    types = dict.fromkeys(("out", "source", "plus"), "*bf16")
    types |= dict.fromkeys(("middle", "sums", "squares", "weight"), "*fp32")
    types |= {"bias": "*bf16", "count": "i32", "rows": "i32", "columns": "i32"}
    types |= {"x": "*bf16", "matrix": "*bf16", "own_bias": "*bf16", "pixels": "i32"}
    types |= {"slope": "fp32", "eps": "fp32"}
    types |= dict.fromkeys(("gate", "features", "gate_bias", "out_bias"), "*bf16")
    for name, known in constants.items():
        kernel = getattr(kernels, name)
        known |= {"block": 2048} if "block" in kernel.arg_names else {}
        signature = {n: "constexpr" if n in known else types[n] for n in kernel.arg_names}
        places = {(kernel.arg_names.index(n),): value for n, value in known.items()}
        source = ASTSource(fn=kernel, signature=signature, constexprs=places)
        made = triton.compile(source, target=GPUTarget("cuda", 90, 32))
        assert "st.global" in made.asm["ptx"]
