"""`python -m sifthinker`, which launchers of several processes start; the command itself is in `cli`."""

from .cli import main

if __name__ == "__main__":
    main()
