"""How the command line exits; 0 is done."""

FAILED, REFUSED, UNTRUE, INTERRUPTED, TERMINATED = 1, 2, 3, 130, 143
