#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
#
# What compilers made of the matrix tiles: the innermost loops of the kernels in objects or archives, with the
# share of fused multiply-adds among their instructions. Fails when a loop keeps a sum on the stack.
import argparse
import re
import subprocess
import sys

TILES = re.compile(r'^(tile_|gemm_|lstm_group|lstm_sums|gru_group|gate_(wide|half|quarter))')
HEADER = re.compile(r'^[0-9a-f]+ <([^>]+)>:$')
LINE = re.compile(r'^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$')
FMA = re.compile(r'^(vf(n?m)add\d+[ps]s|fmla|fmadd)$')
ADD = re.compile(r'^(vaddps|fadd)$')  # in the loop over blocks, whatever a compiler made of its shape
STACK = re.compile(r'\(%rsp[,)]|\[sp[],]')
FRAME = re.compile(r'\(%rbp[,)]|\[x29[],]')  # where the function makes these its frame pointer
VECTOR = re.compile(r'%[xyz]mm\d|\b[qdv]\d+\b')
# The least share of a whole tile: its fma, its loads of weights and inputs, and the loop.
LEAST = {'avx2': 0.5, 'avx512': 0.55, 'neon': 0.75}
LEAST_FMA = {'avx2': 12, 'avx512': 16, 'neon': 96}


class Instruction:
    def __init__(self, address, name, operands):
        self.address, self.name, self.operands = address, name, operands
        self.fma = bool(FMA.match(name))
        self.arm_load = name in ('ldr', 'ldp', 'ldur', 'ld1', 'ld1r', 'ldnp')
        self.arm_store = name in ('str', 'stp', 'stur', 'st1')
        memory = '(' in operands and not name.startswith(('lea', 'nop', 'prefetch'))
        self.x86_store = memory and name.startswith(('vmov', 'mov')) and re.match(r'^%', operands) is not None
        self.load = self.arm_load or (memory and not self.x86_store)
        self.store = self.arm_store or self.x86_store
        self.vector = bool(VECTOR.search(operands))

    def on_stack(self, framed):
        return (self.load or self.store) and self.vector and bool(
            STACK.search(self.operands) or (framed and FRAME.search(self.operands)))

    def target(self):
        """Where a branch inside a function goes, else None."""
        if not re.match(r'^(j[a-z]+|b(\.[a-z]+)?|cbn?z|tbn?z)$', self.name):
            return None
        found = re.search(r'(?:^|[\s,])([0-9a-f]+) <', self.operands)
        return int(found.group(1), 16) if found else None


def functions(objdump, path):
    text = subprocess.run([objdump, '-d', '--no-show-raw-insn', path], check=True, capture_output=True,
                          text=True).stdout
    name, body = None, []
    for line in text.splitlines():
        header = HEADER.match(line)
        if header:
            if name:
                yield name, body
            name, body = header.group(1), []
            continue
        found = LINE.match(line)
        if found and name:
            body.append(Instruction(int(found.group(1), 16), found.group(2), found.group(3)))
    if name:
        yield name, body


def innermost(body):
    """Instructions of each loop that has no other loop inside."""
    at = {instruction.address: i for i, instruction in enumerate(body)}
    spans = set()
    for end, instruction in enumerate(body):
        target = instruction.target()
        if target in at and at[target] <= end:
            spans.add((at[target], end))
    for begin, end in sorted(spans):
        if not any((a, b) != (begin, end) and begin <= a and b <= end for a, b in spans):
            yield body[begin:end + 1]


def isa_of(path):
    found = re.search(r'(avx512|avx2|neon)', path)
    return found.group(1) if found else None


def report(objdump, path, listing):
    isa, failed, shares = isa_of(path), [], []
    for name, body in functions(objdump, path):
        if not TILES.match(name):
            continue
        framed = any(i.name == 'mov' and i.operands in ('%rsp,%rbp', 'x29, sp') for i in body)
        for loop in innermost(body):
            fma = sum(i.fma for i in loop)
            if fma < 2 or any(ADD.match(i.name) for i in loop):
                continue
            spilled = [i for i in loop if i.on_stack(framed)]
            share = fma / len(loop)
            print(f'{isa} {name:24} fma {fma:3} of {len(loop):3} = {share:.2f}, loads {sum(i.load for i in loop):3}, '
                  f'stack {len(spilled)}')
            if listing and re.match(listing, name):
                for i in loop:
                    print(f'    {i.name:14} {i.operands}')
            for i in spilled:
                failed.append(f'{path}: {name}: a vector on the stack inside the loop: {i.name} {i.operands}')
            if fma >= LEAST_FMA[isa] and name.startswith('tile_'):
                shares.append((share, name))
    if not shares:
        failed.append(f'{path}: no loop with {LEAST_FMA[isa]} fma found, expected that of a whole tile')
    elif max(shares)[0] < LEAST[isa]:
        failed.append(f'{path}: {max(shares)[1]}: {max(shares)[0]:.2f} of the instructions are fma, '
                      f'expected at least {LEAST[isa]}')
    return failed


def main():
    parser = argparse.ArgumentParser(description='Count what the innermost loops of the matrix tiles consist of.')
    parser.add_argument('--objdump', default='objdump', help='the disassembler of the objects\' architecture')
    parser.add_argument('--list', metavar='REGEX', help='print the loops of these functions too')
    parser.add_argument('objects', nargs='+', help='objects or archives whose names say the instruction set')
    args = parser.parse_args()
    failed = []
    for path in args.objects:
        if isa_of(path):
            failed += report(args.objdump, path, args.list)
    for line in failed:
        print('FAIL ' + line)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
