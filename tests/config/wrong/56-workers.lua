-- More threads than there may be; a word that is none; twice.
listen "127.0.0.1:0"
workers(65)
workers "many"
workers(1.5)
namespace "/"
