"""FRISM and its controls: methods that learn how much of each singular direction of tau_R to inject."""
