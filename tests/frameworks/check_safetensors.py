#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`check_safetensors.py LSTMCONVERT [COUNT [SEED]]`: random PyTorch models through the converter.

Each model's outputs and states must be PyTorch's. Ends with 77 (skipped) where PyTorch is missing. The
environment variable LSTMRUN_PYTHON may name an interpreter that has it.
"""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def verify(program, name):
    return subprocess.run([program, "-q", name + ".safetensors", "--spec", name + ".json", "--verify",
                           name + ".npz", "-o", name + ".bin"], capture_output=True, text=True, check=False)


def main():
    wanted = os.environ.pop("LSTMRUN_PYTHON", None)
    if wanted:
        os.execv(wanted, [wanted] + sys.argv)
    program, numbers = sys.argv[1], (sys.argv[2:] + ["100", "1"][len(sys.argv) - 2:])
    try:
        import safetensors.torch  # noqa: F401
    except ImportError as why:
        print("skipped:", why)
        return 77
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-W", "ignore", os.path.join(HERE, "make_safetensors.py"), folder,
                        *numbers], check=True)
        with open(os.path.join(folder, "list.txt")) as file:
            names = file.read().split()
        for name in names:
            done = verify(program, name)
            if done.returncode != 0 or not os.path.exists(name + ".bin"):
                failed += 1
                with open(name + ".json") as spec:
                    print("not ok %s %s\n%s%s" % (os.path.basename(name), spec.read(), done.stdout, done.stderr))
    print("%d of %d models as PyTorch computes them" % (len(names) - failed, len(names)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
