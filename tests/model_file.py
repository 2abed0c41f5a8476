# SPDX-License-Identifier: MIT
"""The model file in plain Python, written after formats/FORMAT.md and not after the C code.

Making one (weights are nested lists of numbers or numpy arrays):

    model = Model(input=[3])                          # value 0: frames of 3 numbers
    w = model.tensor([[[...]]], name="W")             # returns the tensor's number
    y = model.layer("lstm", [0], tensors=[w, None, None, None, None, None],
                    words={0: 2}, shape=[2], name="cell")   # returns the value's number
    model.metadata["name"] = "example"
    model.reference(frames_in, frames_out)            # optional
    data = model.bytes()

Reading one: parse(data) -> dict, or Bad with .rule, .offset and a sentence. build(parse(data)) == data.
"""
import struct

MAGIC = bytes([0x8C, 0x4C, 0x53, 0x54, 0x0D, 0x0A, 0x1A, 0x0A])
NONE = 0xFFFFFFFF
HEADER = struct.Struct("<8sHHIIIQ5I3II28s32s")
HEADER_FIELDS = ("magic", "major", "minor", "tables_crc", "optional_flags", "required_flags", "file_size",
                 "n_metadata", "n_layers", "n_tensors", "n_edges", "string_bytes",
                 "output", "reference_input", "reference_output", "data_crc", "unused", "reserved")
METADATA = struct.Struct("<4I")
LAYER = struct.Struct("<6I8s24I")
VALUE = struct.Struct("<4I3II")
TENSOR = struct.Struct("<4I4IQQI12s")

TYPES = {"lstm": 1, "gru": 2, "rnn": 3, "dense": 16, "embedding": 17, "activation": 18, "softmax": 19,
         "layer_norm": 20, "add": 21, "mul": 22, "concat": 23, "slice": 24, "reshape": 25, "scale": 26,
         "conv1d": 27, "magnitude": 28, "transpose": 29, "mask": 30, "l2_norm": 31, "last": 48, "mean": 49,
         "max": 50, "reverse": 51, "temporal_conv": 52, "first": 53, "attention": 54, "delay": 55,
         "temporal_pool": 56}
ACTIVATIONS = {"identity": 0, "sigmoid": 1, "tanh": 2, "relu": 3, "leaky_relu": 4, "thresholded_relu": 5,
               "scaled_tanh": 6, "hard_sigmoid": 7, "elu": 8, "softsign": 9, "softplus": 10, "affine": 11}
DTYPES = {1: ("f32", 4), 2: ("bf16", 2), 3: ("f16", 2), 4: ("i8", 1)}


class Bad(Exception):
    def __init__(self, rule, offset, text):
        super().__init__("F%d at byte %d: %s" % (rule, offset, text))
        self.rule, self.offset = rule, offset


def need(condition, rule, offset, text):
    if not condition:
        raise Bad(rule, offset, text)


def crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


CRC_TABLE = crc_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def align64(n):
    return (n + 63) // 64 * 64


def float_bits(value):
    """A float as the parameter word that holds it."""
    return struct.unpack("<I", struct.pack("<f", value))[0]


def rnn_words(hidden, direction=0, flags=0, clip=0.0, activations=(1, 2, 2), parameters=(0.0,) * 6,
              second=None):
    """Words of lstm (f, g, h), gru (f, g) or rnn (f). `parameters`: alpha, beta of f, of g, of h.
    `second`: (activations, parameters) of the second direction; default: as the first."""
    words = {0: hidden, 1: direction, 2: flags, 3: float_bits(clip)}
    sides = [(activations, parameters)]
    if direction == 2:
        sides.append(second or sides[0])
    for side, (acts, values) in enumerate(sides):
        words[4 + 7 * side] = sum(act << 8 * i for i, act in enumerate(acts))
        for i, value in enumerate(values):
            words[5 + 7 * side + i] = float_bits(value)
    return words


def conv_words(stride=1, dilation=1, before=0, after=0, padding=0, groups=1, activation=0, alpha=0.0,
               beta=0.0):
    """Words of conv1d and temporal_conv. `padding`: 0 zeros, 1 reflection, 2 the edge again."""
    numbers = (stride, dilation, before, after, padding, groups, activation, float_bits(alpha),
               float_bits(beta))
    return dict(enumerate(numbers))


def shape_of(data):
    if hasattr(data, "shape"):
        return list(data.shape)
    shape = []
    while isinstance(data, (list, tuple)):
        shape.append(len(data))
        data = data[0]
    return shape


def flatten(data):
    if isinstance(data, (list, tuple)):
        return [number for part in data for number in flatten(part)]
    return [data]


def f32_bytes(data):
    if hasattr(data, "astype"):
        return data.astype("<f4").tobytes()
    numbers = flatten(data)
    return struct.pack("<%df" % len(numbers), *numbers)


def floats(tensor):
    """The numbers of a parsed f32 tensor, flat."""
    return struct.unpack("<%df" % (len(tensor["data"]) // 4), tensor["data"])


# ---- writing ---------------------------------------------------------------------------------------------


class Model:
    def __init__(self, input, name=""):
        self.values = [{"name": name, "dims": list(input), "once": False}]
        self.metadata, self.layers, self.tensors = {}, [], []
        self.output = None
        self.references = []

    def tensor(self, data, name=""):
        self.tensors.append({"name": name, "dtype": 1, "dims": shape_of(data), "data": f32_bytes(data)})
        return len(self.tensors) - 1

    def layer(self, type, inputs, shape, tensors=(), words=None, name="", once=False):
        words = words or {}
        self.layers.append({"type": TYPES.get(type, type), "name": name, "inputs": list(inputs),
                            "tensors": list(tensors), "words": [words.get(i, 0) for i in range(24)]})
        self.values.append({"name": "", "dims": list(shape), "once": once})
        return len(self.layers)

    def reference(self, frames_in, frames_out):
        self.references = []
        for name, data in (("reference input", frames_in), ("reference output", frames_out)):
            shape = shape_of(data)
            size = 1
            for dim in shape[1:]:
                size *= dim
            self.references.append({"name": name, "dtype": 1, "dims": [shape[0], size],
                                    "data": f32_bytes(data)})

    def as_dict(self):
        """What parse() would give: the tensors numbered as they are first used (F26)."""
        order = []
        for layer in self.layers:
            order += [t for t in layer["tensors"] if t is not None and t not in order]
        unused = set(range(len(self.tensors))) - set(order)
        need(not unused, 27, 0, "tensors %s are not used" % sorted(unused))
        layers = [dict(layer, tensors=[None if t is None else order.index(t) for t in layer["tensors"]])
                  for layer in self.layers]
        n = len(order)
        return {"metadata": sorted((key.encode(), text.encode()) for key, text in self.metadata.items()),
                "layers": layers, "values": self.values,
                "tensors": [self.tensors[t] for t in order] + self.references,
                "output": len(self.layers) if self.output is None else self.output,
                "reference": (n, n + 1) if self.references else None}

    def bytes(self):
        return build(self.as_dict())


class Pool:
    def __init__(self):
        self.bytes = b""

    def add(self, text):
        data = text if isinstance(text, bytes) else text.encode()
        at = len(self.bytes)
        self.bytes += data + b"\0"
        return at, len(data)


def pad(numbers, n):
    return list(numbers) + [0] * (n - len(numbers))


def build(model):
    """dict (see parse) -> bytes. Checks nothing, so that it can make bad files too."""
    pool, edges, metadata, layers, values = Pool(), [], b"", b"", b""
    for key, text in model["metadata"]:
        metadata += METADATA.pack(*pool.add(key), *pool.add(text))
    for layer in model["layers"]:
        layers += LAYER.pack(layer["type"], *pool.add(layer["name"]), len(edges), len(layer["inputs"]),
                             len(layer["tensors"]), bytes(8), *layer["words"])
        edges += layer["inputs"] + [NONE if t is None else t for t in layer["tensors"]]
    for value in model["values"]:
        values += VALUE.pack(*pool.add(value["name"]), len(value["dims"]), int(value["once"]),
                             *pad(value["dims"], 3), 0)
    names = [pool.add(tensor["name"]) for tensor in model["tensors"]]
    strings_at = (128 + len(metadata) + len(layers) + len(values) + 64 * len(names) + 4 * len(edges))
    data_at = align64(strings_at + len(pool.bytes))
    tensors, data = b"", b""
    for name, tensor in zip(names, model["tensors"]):
        size = len(tensor["data"])
        tensors += TENSOR.pack(*name, tensor["dtype"], len(tensor["dims"]), *pad(tensor["dims"], 4),
                               data_at + len(data), size, tensor.get("scales", NONE), bytes(12))
        data += tensor["data"] + bytes(align64(size) - size)
    references = model["reference"] or (NONE, NONE)
    header = HEADER.pack(MAGIC, 1, 0, 0, 0, 0, data_at + len(data), len(model["metadata"]),
                         len(model["layers"]), len(names), len(edges), len(pool.bytes), model["output"],
                         *references, 0, bytes(28), bytes(32))
    tables = header + metadata + layers + values + tensors + struct.pack("<%dI" % len(edges), *edges)
    assert len(tables) == strings_at
    return reseal(tables + pool.bytes + bytes(data_at - strings_at - len(pool.bytes)) + data)


def places(data):
    """The header's fields and where each part of a file begins."""
    header = dict(zip(HEADER_FIELDS, HEADER.unpack_from(data)))
    at, place = 128, {}
    for part, size in (("metadata", 16 * header["n_metadata"]), ("layers", 128 * header["n_layers"]),
                       ("values", 32 * (header["n_layers"] + 1)), ("tensors", 64 * header["n_tensors"]),
                       ("edges", 4 * header["n_edges"]), ("strings", header["string_bytes"])):
        place[part] = at
        at += size
    place["padding"], place["data"] = at, align64(at)
    return header, place


def reseal(data):
    """The same bytes with both checksums put right."""
    data = bytearray(data)
    at = places(data)[1]["data"]
    data[64:68] = struct.pack("<I", crc32c(data[at:]))
    data[12:16] = bytes(4)
    data[12:16] = struct.pack("<I", crc32c(data[:at]))
    return bytes(data)


# ---- reading ---------------------------------------------------------------------------------------------


def is_control(char, lines):
    code = ord(char)
    return (code < 0x20 or 0x7F <= code < 0xA0) and not (lines and char in "\t\n\r")


class Strings:
    def __init__(self, data, start, size):
        self.data, self.start, self.size, self.next = data, start, size, 0

    def take(self, offset, size, at, lines=False):
        need(offset == self.next, 11, at, "a string is not where the one before ended")
        need(offset + size + 1 <= self.size, 11, at, "a string ends beyond the pool")
        start = self.start + offset
        need(self.data[start + size] == 0, 12, start + size, "no NUL after a string")
        try:
            text = self.data[start:start + size].decode("utf-8", "strict")
        except UnicodeDecodeError as error:
            raise Bad(13, start + error.start, "not UTF-8") from error
        need(not any(is_control(char, lines) for char in text), 14, start, "a control character")
        self.next = offset + size + 1
        return text


def check_header(data):
    need(data[:8] == MAGIC[:len(data)], 1, 0, "not the magic")
    need(len(data) >= 128, 2, len(data), "no whole header")
    header, place = places(data)
    need(header["major"] == 1, 3, 8, "another version")
    need(header["required_flags"] == 0, 4, 20, "unknown required flags")
    need(header["reserved"] == bytes(32), 5, 96, "reserved bytes")
    need(header["file_size"] == len(data), 6, 24, "another size")
    for field, least, most in (("n_metadata", 0, 4096), ("n_layers", 1, 4096), ("n_tensors", 0, 65536),
                               ("n_edges", 0, 327680), ("string_bytes", 0, 16777216)):
        need(least <= header[field] <= most, 7, 32, field)
    need(place["data"] <= len(data), 8, len(data), "no room for the tables")
    tables = bytearray(data[:place["data"]])
    tables[12:16] = bytes(4)
    need(crc32c(tables) == header["tables_crc"], 9, 12, "checksum of the tables")
    need(not any(data[place["padding"]:place["data"]]), 10, place["padding"], "padding of the pool")
    return header, place


def read_metadata(data, at, count, strings):
    pairs = []
    for i in range(count):
        here = at + 16 * i
        key_at, key_size, text_at, text_size = METADATA.unpack_from(data, here)
        key = strings.take(key_at, key_size, here).encode()
        text = strings.take(text_at, text_size, here + 8, lines=True).encode()
        need(key, 15, here, "an empty key")
        need(not pairs or pairs[-1][0] < key, 16, here, "keys do not ascend")
        pairs.append((key, text))
    return pairs


def read_layers(data, header, place, strings):
    edges = struct.unpack_from("<%dI" % header["n_edges"], data, place["edges"])
    layers, next_edge, named = [], 0, 0
    for i in range(header["n_layers"]):
        at = place["layers"] + 128 * i
        kind, name_at, name_size, first, n_in, n_slots, reserved, *words = LAYER.unpack_from(data, at)
        name = strings.take(name_at, name_size, at + 4)
        need(1 <= n_in <= 64 and n_slots <= 16, 22, at + 16, "numbers of inputs and slots")
        need(first == next_edge and first + n_in + n_slots <= len(edges), 23, at + 12, "row of edges")
        need(reserved == bytes(8), 24, at + 24, "reserved bytes of a layer")
        row = edges[first:first + n_in + n_slots]
        next_edge += len(row)
        need(max(row[:n_in]) <= i, 25, place["edges"] + 4 * first, "reads a later value")
        for tensor in row[n_in:]:
            need(tensor == NONE or (tensor <= named and tensor < header["n_tensors"]), 26,
                 place["edges"] + 4 * first, "tensors not in the order of their use")
            named += tensor == named
        layers.append({"type": kind, "name": name, "inputs": list(row[:n_in]), "words": words,
                       "tensors": [None if t == NONE else t for t in row[n_in:]]})
    need(next_edge == len(edges), 23, 44, "edges left over")
    return layers, named


def check_dims(dims, rank, at, rule):
    for i, dim in enumerate(dims):
        need(1 <= dim <= 1 << 24 if i < rank else dim == 0, rule, at + 4 * i, "a dimension")


def product(numbers):
    result = 1
    for number in numbers:
        result *= number
    return result


def read_values(data, header, place, strings):
    values = []
    for i in range(header["n_layers"] + 1):
        at = place["values"] + 32 * i
        name_at, name_size, rank, flags, *dims, reserved = VALUE.unpack_from(data, at)
        name = strings.take(name_at, name_size, at)
        need(1 <= rank <= 3, 17, at + 8, "rank of a value")
        check_dims(dims, rank, at + 16, 18)
        need(product(dims[:rank]) <= 1 << 24, 19, at + 16, "size of a frame")
        need(flags <= (1 if i > 0 else 0) and reserved == 0, 20, at + 12, "reserved bits of a value")
        values.append({"name": name, "dims": dims[:rank], "once": bool(flags)})
    need(header["output"] < len(values), 21, 52, "no such output")
    return values


def read_tensors(data, header, place, strings):
    tensors, next_data = [], place["data"]
    for i in range(header["n_tensors"]):
        at = place["tensors"] + 64 * i
        (name_at, name_size, dtype, rank, d0, d1, d2, d3, offset, size, scales,
         reserved) = TENSOR.unpack_from(data, at)
        dims = [d0, d1, d2, d3]
        name = strings.take(name_at, name_size, at)
        need(dtype in DTYPES, 28, at + 8, "unknown element type")
        need(dtype == 1, 29, at + 8, "element type %s" % DTYPES[dtype][0])
        need(1 <= rank <= 4, 30, at + 12, "rank of a tensor")
        check_dims(dims, rank, at + 16, 31)
        need(size == product(dims[:rank]) * 4 and size < 1 << 63, 32, at + 40, "bytes of a tensor")
        need(scales == NONE, 33, at + 48, "scales of an f32 tensor")
        need(reserved == bytes(12), 34, at + 52, "reserved bytes of a tensor")
        need(offset == next_data and offset + size <= len(data), 35, at + 32, "place of a tensor")
        next_data = align64(offset + size)
        tensors.append({"name": name, "dtype": dtype, "dims": dims[:rank],
                        "data": bytes(data[offset:offset + size])})
    need(next_data == len(data), 36, 24, "the tensors do not end with the file")
    need(strings.next == header["string_bytes"], 11, 48, "bytes left over in the pool")
    return tensors


def check_references(header, values, tensors, named):
    pair, n = (header["reference_input"], header["reference_output"]), len(tensors)
    if pair == (NONE, NONE):
        need(named == n, 27, 40, "tensors that nothing uses")
        return None
    need(pair == (n - 2, n - 1) and named <= n - 2, 37, 56, "place of the reference tensors")
    need(named == n - 2, 27, 40, "tensors that nothing uses")
    steps = tensors[pair[0]]["dims"][0]
    output = values[header["output"]]
    # How many, the layers say: F69 is not for who only reads the file.
    output_steps = 1 if output["once"] else max(1, tensors[pair[1]]["dims"][0])
    for index, value, rows in ((pair[0], values[0], steps), (pair[1], output, output_steps)):
        need(tensors[index]["dims"] == [rows, product(value["dims"])], 38, 56, "shape of a reference tensor")
    return pair


def check_data(data, header, place, tensors):
    need(crc32c(data[place["data"]:]) == header["data_crc"], 39, 64, "checksum of the data")
    at = place["data"]
    for tensor in tensors:
        end = at + len(tensor["data"])
        at = align64(end)
        need(not any(data[end:at]), 40, end, "padding after a tensor")


def parse(data, check_weights=True):
    header, place = check_header(data)
    strings = Strings(data, place["strings"], header["string_bytes"])
    metadata = read_metadata(data, place["metadata"], header["n_metadata"], strings)
    layers, named = read_layers(data, header, place, strings)
    values = read_values(data, header, place, strings)
    tensors = read_tensors(data, header, place, strings)
    reference = check_references(header, values, tensors, named)
    if check_weights:
        check_data(data, header, place, tensors)
    return {"metadata": metadata, "layers": layers, "values": values, "tensors": tensors,
            "output": header["output"], "reference": reference}
