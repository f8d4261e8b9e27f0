"""`python -m metallb`: the same as the command `metallb`."""

from metallb.cli.main import main

if __name__ == "__main__":
    main()
