"""One check of a password by argon2-cffi: argon2id, 19 MiB, 2 passes, 1 lane."""
from argon2 import PasswordHasher

from line import serve

hasher = PasswordHasher(memory_cost=19456, time_cost=2, parallelism=1)
saved = hasher.hash("correct horse battery staple")
serve(lambda: hasher.verify(saved, "correct horse battery staple"))
