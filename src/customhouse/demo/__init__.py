"""The demo: a shop with customers who browse, buy, lose their network and set their clocks wrong; made from a seed."""
