namespace "/chat"
