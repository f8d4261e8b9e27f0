"""The command `metallb`: starts the processes, and shows, explains and checks for people."""
