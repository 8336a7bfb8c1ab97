# Sourced by what runs the recipes of a document.

# block FILE START: the fenced block of FILE that begins so, without the indentation of its fence.
block() {
  local text
  text=$(START=$2 awk '
    /^ *```/ {
      if (inside) { if (index(block, ENVIRON["START"]) == 1) { printf "%s", block; exit }; inside = 0 }
      else { inside = 1; block = ""; match($0, /^ */); indentation = RLENGTH }
      next
    }
    inside { block = block substr($0, indentation + 1) "\n" }' "$1")
  if [ -z "$text" ]; then
    echo "no block of $1 begins with: $2" >&2
    return 1
  fi
  printf '%s\n' "$text"
}
