"""What is measured, pass by pass, of interactions that are never held in memory."""
