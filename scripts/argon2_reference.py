"""Computes again, with the reference in C, what it reads: `memory passes lanes password salt pepper hash`."""
import sys

from argon2.low_level import Type, core, ffi, lib


def computed(memory, passes, lanes, password, salt, pepper, length):
    def buffer(data):
        return ffi.new("uint8_t[]", data) if data else ffi.NULL

    output, typed, salted, secret = ffi.new("uint8_t[]", length), buffer(password), buffer(salt), buffer(pepper)
    context = ffi.new("argon2_context *", dict(
        version=19, out=output, outlen=length, pwd=typed, pwdlen=len(password), salt=salted, saltlen=len(salt),
        secret=secret, secretlen=len(pepper), ad=ffi.NULL, adlen=0, t_cost=passes, m_cost=memory, lanes=lanes, threads=1,
        allocate_cbk=ffi.NULL, free_cbk=ffi.NULL, flags=lib.ARGON2_DEFAULT_FLAGS))
    status = core(context, Type.ID.value)
    if status != 0:
        sys.exit(f"the reference refused this: {status}")
    return bytes(ffi.buffer(output, length))


def main():
    seen = 0
    for line in sys.stdin:
        memory, passes, lanes, *rest = line.split()
        password, salt, pepper, expected = (b"" if text == "-" else bytes.fromhex(text) for text in rest)
        if computed(int(memory), int(passes), int(lanes), password, salt, pepper, len(expected)) != expected:
            sys.exit(f"another hash: {line}")
        seen += 1
    if seen == 0:
        sys.exit("nothing was compared")
    print(f"{seen} hashes are those of the reference in C")


main()
