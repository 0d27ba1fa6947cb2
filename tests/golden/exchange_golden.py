#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes another golden set of the same layout: a copy in which names, sharding, ranks, kinds and
dialects of adapters, and places in files are exchanged without changing a number that is computed.
The golden tests must pass on it as on the original. What the layout fixes stays: `llama` is the
base of warmstart/, grown_r8 has rank 8, file names that say an alpha or a dialect are true. The
READMEs stay, too, and are not true of the copy.
Usage: exchange_golden.py OUTPUT [PROGRAM ARGUMENT...]
Copies LORA_GOLDEN, by default the folder of this script; with a program, runs it with
LORA_GOLDEN=OUTPUT. Exit code 77: there is no set to copy."""
import hashlib
import json
import math
import os
import pathlib
import re
import shutil
import struct
import sys

# Old name -> new name.
FAMILIES = {"llama-tied": "qwen3", "qwen3": "gemma2", "gemma2": "mistral", "mistral": "gpt2",
            "gpt2": "qwen2", "qwen2": "llama-tied"}
TOKENIZERS = {"llama2": "llama3", "llama3": "gpt2", "gpt2": "qwen2", "qwen2": "llama2"}
# As the reference library orders the tensors of a file, with the sizes of their elements.
DTYPES = {"I64": 8, "F64": 8, "F32": 4, "I32": 4, "BF16": 2, "F16": 2, "I16": 2, "I8": 1, "U8": 1,
          "BOOL": 1}
DOWN = re.compile(r"lora(_A|_down|\.down|_linear_layer\.down)\.weight\b")
UP = re.compile(r"lora(_B|_up|\.up|_linear_layer\.up)\.weight\b")


# --- files ---

def read_safetensors(path):
    """{name: (dtype, shape, bytes)} and the metadata."""
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + size])
    metadata = header.pop("__metadata__", None)
    body = data[8 + size:]
    return {name: (row["dtype"], row["shape"], body[slice(*row["data_offsets"])])
            for name, row in header.items()}, metadata


def write_safetensors(path, tensors, metadata, turned=False):
    """In the reference library's order, or in the opposite one."""
    rank = list(DTYPES).index
    names = sorted(tensors, key=lambda name: (rank(tensors[name][0]), name), reverse=turned)
    header, at = ({"__metadata__": metadata} if metadata else {}), 0
    for name in names:
        dtype, shape, data = tensors[name]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(tensors[n][2] for n in names))


def change_tensors(path, change, turned=False):
    tensors, metadata = read_safetensors(path)
    write_safetensors(path, change(tensors), metadata, turned)


def change_json(path, change):
    path.write_text(json.dumps(change(json.loads(path.read_text())), ensure_ascii=False, indent=1))


def rotate(folder, names, suffix=""):
    """Renames all at once: every new name is another's old one."""
    moved = [name for name in names if (folder / (name + suffix)).exists()]
    for name in moved:
        (folder / (name + suffix)).rename(folder / (name + suffix + ".moving"))
    for name in moved:
        (folder / (name + suffix + ".moving")).rename(folder / (names[name] + suffix))


# --- sharding ---

def exchange_sharding(folder, stem="model", variant=""):
    """One file becomes two shards with an index; shards become one file."""
    whole = folder / f"{stem}{variant}.safetensors"
    index = folder / f"{stem}.safetensors.index{variant}.json"
    if index.exists():
        tensors, metadata = {}, None
        for name in sorted(set(json.loads(index.read_text())["weight_map"].values())):
            more, metadata = read_safetensors(folder / name)
            tensors.update(more)
            (folder / name).unlink()
        index.unlink()
        write_safetensors(whole, tensors, metadata)
        return
    tensors, metadata = read_safetensors(whole)
    names = list(tensors)
    half = (len(names) + 1) // 2
    places = {}
    for number, part in enumerate((names[:half], names[half:]), 1):
        file = f"{stem}{variant}-{number:05d}-of-00002.safetensors"
        write_safetensors(folder / file, {name: tensors[name] for name in part}, metadata)
        places.update({name: file for name in part})
    whole.unlink()
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}, indent=1))


# --- adapters ---

def widened(tensors, modules=None):
    """Twice the rank: the new rows of A and columns of B are 0, and so are their gradients."""
    result = {}
    for name, (dtype, shape, data) in tensors.items():
        if modules and not any(f".{module}.lora_" in name for module in modules):
            pass
        elif DOWN.search(name):
            shape, data = [2 * shape[0], *shape[1:]], data + bytes(len(data))
        elif UP.search(name):
            size = shape[1] * DTYPES[dtype]  # bytes of a row; kernels are 1 x 1
            rows = (data[at:at + size] for at in range(0, len(data), size))
            shape = [shape[0], 2 * shape[1], *shape[2:]]
            data = b"".join(row + bytes(size) for row in rows)
        elif name.endswith(".alpha"):
            code = {"I64": "<q", "F32": "<f", "F16": "<e"}[dtype]
            data = struct.pack(code, 2 * struct.unpack(code, data)[0])
        result[name] = (dtype, shape, data)
    return result


def doubled(config, keys):
    """Numbers become twice as large, wherever the keys stand; those of patterns, too."""
    def twice(value):
        if isinstance(value, dict):
            return {key: twice(item) for key, item in value.items()}
        return 2 * value
    if isinstance(config, list):
        return [doubled(item, keys) for item in config]
    if not isinstance(config, dict):
        return config
    return {key: twice(value) if key in keys else doubled(value, keys)
            for key, value in config.items()}


def modules_of(folder):
    """Paths of the adapted modules, and the number of the adapter's elements."""
    tensors, _ = read_safetensors(folder / "lora" / "adapter_model.safetensors")
    paths = {name.split(".lora_")[0].removeprefix("base_model.model.") for name in tensors}
    return sorted(paths), sum(math.prod(shape) for _, shape, _ in tensors.values())


def as_wide(config, modules):
    """Every module gets twice the rank."""
    if config["use_rslora"]:
        return None
    return doubled(config, ("r", "lora_alpha", "rank_pattern", "alpha_pattern")), modules


def as_uneven(config, modules):
    """One module gets twice the rank, which patterns say."""
    patterns = config["rank_pattern"] or config["alpha_pattern"]
    if config["use_rslora"] or patterns or len(modules) < 3:
        return None
    wide = modules[0]
    return {**config, "rank_pattern": {wide: 2 * config["r"]},
            "alpha_pattern": {wide: 2 * config["lora_alpha"]}}, [wide]


def as_other_scaling(config, _):
    """alpha / r becomes alpha / sqrt(r), or the reverse, with the alpha that keeps the scale."""
    root = math.isqrt(config["r"])
    if root * root != config["r"] or config["rank_pattern"] or config["alpha_pattern"]:
        return None
    alpha = config["lora_alpha"] * root if config["use_rslora"] else config["lora_alpha"] / root
    alpha = int(alpha) if alpha == int(alpha) else alpha
    return {**config, "use_rslora": not config["use_rslora"], "lora_alpha": alpha}, []


KINDS = (as_uneven, as_other_scaling, as_wide)


def exchange_kind(llm, family, number):
    """Another spelling of the same numbers: of the kinds from `number` on the first that fits."""
    folder = llm / family
    path = folder / "lora" / "adapter_config.json"
    modules, _ = modules_of(folder)
    fitting = (kind(json.loads(path.read_text()), modules)
               for kind in KINDS[number % 3:] + KINDS[:number % 3])
    config, wide = next(change for change in fitting if change)
    change_json(path, lambda _: config)
    files = [*folder.glob("*.safetensors"), llm / "packing" / f"{family}.safetensors",
             folder / "lora" / "adapter_model.safetensors"]
    for file in files if wide else []:
        change_tensors(file, lambda tensors: widened(tensors, wide))
    _, elements = modules_of(folder)
    change_json(folder / "lora_expected.json",
                lambda facts: {**facts, "trainable_parameters": elements,
                               "adapter": {key: config[key] for key in facts["adapter"]}})


# --- the two halves ---

def renamed(value, names, form="{}"):
    """Every text and every key that is `form` of an old name gets the new one."""
    texts = {form.format(old): form.format(new) for old, new in names.items()}
    if isinstance(value, dict):
        return {texts.get(key, key): renamed(item, names, form) for key, item in value.items()}
    if isinstance(value, list):
        return [renamed(item, names, form) for item in value]
    return texts.get(value, value) if isinstance(value, str) else value


def exchange_families(llm):
    families = sorted(path.parent.name for path in llm.glob("*/forward.safetensors"))
    for number, family in enumerate(families):
        exchange_kind(llm, family, number)
        for name in ("model", "model_noprefix"):
            if (llm / family / name).exists():
                exchange_sharding(llm / family / name)
        change_json(llm / family / "forward.json",
                    lambda facts: {**facts, "family": renamed(facts["family"], FAMILIES)})
        change_json(llm / family / "lora" / "adapter_config.json",
                    lambda config: renamed(config, FAMILIES, "{}/model"))
    for path in [*llm.glob("generate/*.json"), llm / "packing" / "packing.json"]:
        change_json(path, lambda value: renamed(value, FAMILIES, "{}/lora"))
    change_json(llm / "packing" / "packing.json", lambda value: renamed(value, FAMILIES))
    for folder, suffixes in (("", [""]), ("packing", [".safetensors"]),
                             ("generate", [".json", ".safetensors"])):
        for suffix in suffixes:
            rotate(llm / folder, FAMILIES, suffix)


def exchange_tokenizers(llm):
    rotate(llm / "tokenizers", TOKENIZERS)
    change_json(llm / "tokenizers" / "summary.json", lambda value: renamed(value, TOKENIZERS))
    for path in (llm / "chat").glob("*.json"):
        change_json(path, lambda value: renamed(value, TOKENIZERS, "tokenizers/{}"))


def old_dialect(tensors):
    """PEFT's names of an image adapter become those that diffusers wrote before."""
    result = {}
    for name, tensor in tensors.items():
        kind = "lora_linear_layer" if name.startswith("text_encoder.") else "lora"
        name = name.replace(".lora_A.", f".{kind}.down.").replace(".lora_B.", f".{kind}.up.")
        result[name] = tensor
    return result


def exchange_image_adapters(sd):
    for path in sorted([*sd.glob("lora/?_*"), *sd.glob("lora/e2_*"), *sd.glob("sdxl/lora_[dk]*"),
                        *sd.glob("train*/init_*"), *sd.glob("train*/final_*"),
                        *sd.glob("warmstart/final_*"), *sd.glob("warmstart/v1_*"),
                        sd / "train" / "debug_base.safetensors"]):
        if "alpha_" not in path.name:
            change_tensors(path, widened)
        if path.parent.name.startswith("train") and path.name != "debug_base.safetensors":
            change_tensors(path, old_dialect)
    kept = {"f"}  # the file's name says its alpha

    def facts_of_lora(facts):
        alphas = {key: alpha if key in kept else 2 * alpha for key, alpha in facts["alpha"].items()}
        return {**doubled(facts, ("rank",)), "alpha": alphas,
                "merged": doubled(facts["merged"], ("rank", "alpha"))}
    change_json(sd / "lora" / "lora.json", facts_of_lora)
    change_json(sd / "sdxl" / "sdxl.json", lambda facts: doubled(facts, ("rank", "alpha")))
    for folder in ("train", "train_image"):
        change_json(sd / folder / "expected.json", lambda facts: doubled(facts, ("r", "alpha")))


def exchange_pictures(sd):
    for part in ("unet", "vae"):
        exchange_sharding(sd / "tiny-sd15" / part, "diffusion_pytorch_model")
        exchange_sharding(sd / "sdxl" / "tiny-sdxl" / part, "diffusion_pytorch_model", ".fp16")
    exchange_sharding(sd / "tiny-sd15" / "text_encoder")
    for part in ("text_encoder", "text_encoder_2"):
        exchange_sharding(sd / "sdxl" / "tiny-sdxl" / part, variant=".fp16")
    for path in [*sd.glob("tiny-sd15-single/*.safetensors"),
                 *sd.glob("sdxl/tiny-sdxl*.safetensors")]:
        change_tensors(path, lambda tensors: tensors, turned=True)
    exchange_image_adapters(sd)


def state_sums(target):
    """SHA256SUMS and manifest.json, as the layout has them."""
    def sums(folder, itself):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path != itself:
                data = path.read_bytes()
                name = path.relative_to(folder).as_posix()
                yield name, len(data), hashlib.sha256(data).hexdigest()
    listing = target / "llm" / "SHA256SUMS"
    listing.write_text("".join(f"{digest}  {name}\n"
                               for name, _, digest in sums(target / "llm", listing)))
    manifest = target / "sd" / "manifest.json"
    manifest.write_text(json.dumps({name: {"bytes": size, "sha256": digest}
                                    for name, size, digest in sums(target / "sd", manifest)},
                                   indent=1))


def exchange(source, target):
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for half in ("llm", "sd"):
        shutil.copytree(source / half, target / half, copy_function=shutil.copyfile)
    for path in target.rglob("*/"):
        path.chmod(0o755)
    shutil.copyfile(source / "README.md", target / "README.md")
    exchange_families(target / "llm")
    exchange_tokenizers(target / "llm")
    exchange_pictures(target / "sd")
    state_sums(target)


def main(target, *command):
    source = pathlib.Path(os.environ.get("LORA_GOLDEN") or pathlib.Path(__file__).parent).absolute()
    target = pathlib.Path(target).absolute()
    if not (source / "llm").exists() or not (source / "sd").exists():
        print(f"skipped: no golden set in {source}")
        return 77
    exchange(source, target)
    if not command:
        return 0
    os.environ["LORA_GOLDEN"] = str(target)
    os.execvp(command[0], command)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
