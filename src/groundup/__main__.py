"""`python -m groundup` is the console script."""

from groundup.cli.app import main

if __name__ == "__main__":
    main()
